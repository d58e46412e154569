"""Both ways into `/v2/`, without a socket: the short path, and the application that answers what that declines."""

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from wsgiref.util import FileWrapper

from django.test import RequestFactory

from core.api.notes import ACCOUNT, JTI, REQUEST_ID, ROUTE
from registry_project import wsgi

_OF_CGI = ("CONTENT_LENGTH", "CONTENT_TYPE")
_SESSION = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Asked(NamedTuple):
    """A request; `length` is the Content-Length that it claims, None: that of the body."""

    method: str
    target: str
    fields: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    length: str | None = None
    address: str = "192.0.2.1"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The header fields as the server's parser passes them on: names in capitals."""
        given = [(name.upper(), value) for name, value in self.fields]
        length = str(len(self.body)) if self.length is None else self.length
        return [("HOST", "testserver"), *given, *([("CONTENT-LENGTH", length)] if length else [])]


class Answered(NamedTuple):
    """A response, and the notes for the access log."""

    status: int
    fields: dict[str, str]
    body: bytes
    notes: tuple[object, ...]


def shortly(asked: Asked) -> Answered | None:
    """Return the response of the short path; None: it declines."""
    environ = _environ(asked)
    answer = wsgi.application.short(environ, asked.headers)  # type: ignore[attr-defined]
    if answer is None:
        assert environ["wsgi.input"].tell() == 0
        return None
    return Answered(answer.status, answer.headers, answer.payload, _notes(environ))


def wholly(asked: Asked) -> Answered:
    """Return the response of the application."""
    names = ((name.replace("-", "_"), value) for name, value in asked.headers)
    fields = {name if name in _OF_CGI else f"HTTP_{name}": value for name, value in names}
    path, _, query = asked.target.partition("?")
    environ = RequestFactory().generic(asked.method, path, QUERY_STRING=query).environ | fields | _environ(asked)
    begun: list[Any] = []
    body: Any = wsgi.application(environ, lambda *given: begun.extend(given))
    status, given = begun
    return Answered(int(status.partition(" ")[0]), dict(given), b"".join(body), _notes(environ))


def without_names(text: object, *names: str) -> str:
    """Return what two ways have in common: no names of sessions, and none of these."""
    found = _SESSION.sub("session", str(text))
    for name in names:
        found = found.replace(name, "name")
    return found


def _environ(asked: Asked) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": asked.method,
        "RAW_URI": asked.target,
        "PATH_INFO": asked.target.partition("?")[0],
        "REMOTE_ADDR": asked.address,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(asked.body),
        "wsgi.file_wrapper": FileWrapper,
        REQUEST_ID: "of this test",
    }


def _notes(environ: dict[str, Any]) -> tuple[object, ...]:
    match = environ.get(ROUTE)
    return (match and (match.url_name, match.kwargs), *(environ.get(key) for key in (ACCOUNT, JTI, REQUEST_ID)))
