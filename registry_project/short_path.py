"""The short path of plain pulls and token requests: from the parsed head on, without HttpRequest and HttpResponse.

    server.worker ──┬─ application.short ──> ShortPath ──> distribution.pull, tokens.short_path
                    └─ application, if that declines ──> middleware ──> views ──> distribution.pull, tokens.issue

It declines before anything is done, so that challenges and refusals are made only by the views.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any, Protocol

from django.conf import settings

from accounts import permissions_version
from acl.names import InvalidNameError, parse_name
from core.api.notes import ROUTE
from core.api.view import COMMON_HEADERS, error_of, error_response, finished
from core.db.transactions import end_request
from distribution.middleware import match_of
from distribution.pull import Pulled
from distribution.views.pull import PullView
from registry_project.front_door import RegistryChain
from registry_project.middleware.proxies import TrustedProxyMiddleware
from tokens.bearer import bearer_at
from tokens.short_path import answer as token_answer
from tokens.views import TokenView
from upstreams import compiled as upstreams

# The fields that the middleware, `distribution.pull` and the access log read; any other one changes nothing.
_FIELDS = {
    name.replace("_", "-"): f"HTTP_{name}"
    for name in (
        *("AUTHORIZATION", "HOST", "IF_NONE_MATCH", "IF_RANGE", "RANGE", "USER_AGENT", "X_REQUEST_ID"),
        *("FORWARDED", "X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "X_FORWARDED_PORT"),
    )
}


class Answer(Protocol):
    """A response; of `file`, if any, the Content-Length bytes from its position are the body."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def file(self) -> IO[bytes] | None: ...


class ShortPath:
    """Answers GET and HEAD of manifests and blobs, and GET of tokens."""

    def __init__(self, chain: RegistryChain) -> None:
        self._serves = chain.serves
        self._apply_proxies = TrustedProxyMiddleware(chain.get_response).apply
        self._has_files = settings.REGISTRY.storage.backend == "filesystem"
        # gunicorn cuts it from the front of the application's paths.
        self._is_closed = bool(os.environ.get("SCRIPT_NAME"))

    def __call__(self, environ: dict[str, Any], headers: Sequence[tuple[str, str]]) -> Answer | None:
        """Return the response; None declines, and leaves the request to the application.

        `environ` has the request line, the peer and the listener, and gets the notes for the access log.
        """
        uri, method = environ["RAW_URI"], environ["REQUEST_METHOD"]
        path, _, query = uri.partition("?")
        # Only the other path decodes.
        if (
            self._is_closed
            or "%" in path
            or "#" in uri
            or uri[:1] != "/"
            or not uri.isascii()
            or not self._serves(environ)
        ):
            return None
        match = match_of(environ["PATH_INFO"])
        view: type[object] = match.func.view_class  # type: ignore[attr-defined]  # as `as_view` returns
        make: Callable[[], Answer | None]
        if issubclass(view, PullView):
            # The redirect and the stream of a cloud are the view's.
            is_plain = self._has_files or method == "HEAD" or match.url_name == "manifest"
            # The names of containerd's mirrors are translated by the view.
            is_plain = is_plain and "ns=" not in query
            make = partial(_pulled, view, method, environ, **match.kwargs)
        else:
            # Of Content-Type the view takes a charset.
            is_plain = view is TokenView and method == "GET" and all(name != "CONTENT-TYPE" for name, _ in headers)
            make = partial(token_answer, environ, query)
        fields = [(_FIELDS[name], value) for name, value in headers if name in _FIELDS]
        environ.update(fields)
        if not is_plain or len({name for name, _ in fields}) < len(fields):
            return None
        environ[ROUTE] = match
        self._apply_proxies(environ)
        return _finished(make, method, environ)


def _finished(make: Callable[[], Answer | None], method: str, environ: dict[str, Any]) -> Answer | None:
    """Return what `make` does, or the response to its error; the connection to the database is not used any more."""
    try:
        answer = make()
    except Exception as error:  # noqa: BLE001 - `error_of` logs it
        response: Any = finished(method, error_response(error_of(error, method, environ["PATH_INFO"])))
        answer = Pulled(response.status_code, dict(response.items()), "", response.content)
    if answer is not None:
        answer.headers.update(COMMON_HEADERS)
        # Before the response is sent: otherwise a slow client would occupy a connection of the database.
        end_request()
    return answer


def _pulled(view: type[PullView], method: str, environ: dict[str, Any], name: str, **reference: str) -> Pulled | None:
    """Return the response for a bearer who may pull; None leaves the refusal to the view.

    The permissions are those that this process has read last. The statement that finds the manifest or blob tells
    whether they are current: otherwise the view decides anew.
    """
    try:
        parsed = parse_name(name)
    except InvalidNameError:
        return None
    version = permissions_version.last_read()
    bearer = bearer_at(environ, version)
    if bearer is None or not bearer.may(parsed, view.actions[method]):
        return None
    (text,) = reference.values()
    # Of a tag, an upstream may have to be asked.
    if ":" not in text and (proxy := upstreams.of(parsed, version)) is not None and view.is_due(parsed, text, proxy):
        return None
    try:
        pulled = view.pull(parsed, text, method, environ)
    except Exception:
        if permissions_version.current() != version or upstreams.of(parsed, version) is not None:
            return None
        raise
    if pulled.permissions_version == version:
        view.announce(pulled, parsed, text, method, bearer=bearer, meta=environ)
        return pulled
    permissions_version.current()
    if pulled.file is not None:
        pulled.file.close()
    return None
