"""The fast way to parse a head: GET or HEAD of a path over HTTP/1.1, without a body, as nearly every pull sends it.

    Parser ──┬─ FastParser ──> FastRequest
             └─ None ────────> PlainRequest: gunicorn's parser

A head is parsed here only if gunicorn's parser reads the same from it. All others are left to that one, with their
errors.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from server.head.request import HOST, PlainRequest
from server.request_body import NO_BODY

# A client repeats its fields in each request of a connection, but for `Accept`, which is another one for blobs.
REMEMBERED = 2
REMEMBERED_BYTES = 4096

# An origin-form target (RFC 9112, 3.2.1) without a fragment; `//` could begin an authority.
_TARGET = re.compile(r"/(?:[!\"$-.0-~][!\"$-~]*)?")
# No underscore: WSGI has one name for `A-B` and `A_B`.
MAX_NAME_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z0-9-]+")
# They frame a body, or may be sent once only.
_LEFT_TO_GUNICORN = frozenset(("CONTENT-LENGTH", "TRANSFER-ENCODING", "TRAILER", "EXPECT", "CONTENT-TYPE"))
_CONTROLS = {*range(0x20), 0x7F} - {*b"\r\n"}
# `bytes.translate` returns its own object when nothing changes; a regular expression takes five times as long.
_WITHOUT_CONTROLS = bytes(0x3F if byte in _CONTROLS else byte for byte in range(256))

Headers = Sequence[tuple[str, str]]


class FastRequest(PlainRequest):
    """A request that FastParser has read; gunicorn's constructor, which would read it, is not called."""

    version = (1, 1)
    scheme = "http"
    body = NO_BODY
    must_close = False
    proxy_protocol_info = None
    _expected_100_continue = False
    _is_last = False

    def __init__(self, unreader: Any, method: str, uri: str, headers: Headers) -> None:
        unreader.request = self
        self.unreader = unreader
        self.method = method
        self.uri = uri
        self.path, _, self.query = uri.partition("?")
        self.headers = headers


class FastParser:
    """The parser of one connection, which remembers its last header sections: equal bytes have equal fields."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg
        self._remembered: dict[bytes, Headers] = {}

    def parse(self, unreader: Any, head: bytes) -> FastRequest | None:
        """Return the request that `head` is, no more and no less; None leaves it to gunicorn's parser."""
        end = head.find(b"\r\n")
        if not 0 < end <= self._cfg.limit_request_line or not head.startswith((b"GET /", b"HEAD /")):
            return None
        # An octet beyond ASCII becomes a character that no target has.
        method, _, rest = head[:end].decode("latin-1").partition(" ")
        uri, _, version = rest.partition(" ")
        if version != "HTTP/1.1" or not _TARGET.fullmatch(uri):
            return None
        section = head[end:]
        headers = self._remembered.get(section)
        if headers is None:
            headers = _headers_of(section, self._cfg)
            if headers is None:
                return None
            if len(section) <= REMEMBERED_BYTES:
                if len(self._remembered) == REMEMBERED:
                    self._remembered.clear()
                self._remembered[section] = headers
        return FastRequest(unreader, method, uri, headers)


def _headers_of(section: bytes, cfg: Any) -> Headers | None:
    """Return the fields between the request line and the end of the head; None leaves them to gunicorn's parser."""
    is_text = section.isascii() and section.translate(_WITHOUT_CONTROLS) is section
    if not is_text or len(section) > cfg.limit_request_field_size or not section.endswith(b"\r\n\r\n"):
        return None
    _, *fields = section[:-4].decode("ascii").split("\r\n")
    ends = len(fields) + 2
    # Neither CR nor LF stands alone.
    if section.count(b"\r") != ends or section.count(b"\n") != ends or len(fields) > cfg.limit_request_fields:
        return None
    headers = []
    for field in fields:
        name, colon, value = field.partition(":")
        known = _known_name(name) if colon and len(name) <= MAX_NAME_CHARACTERS else None
        if known is None:
            return None
        headers.append((known, value.strip(" ")))
    return tuple(headers) if _is_plain(headers) else None


def _is_plain(headers: Headers) -> bool:
    """Tell whether the fields name one host, and leave the connection open."""
    hosts = [value for name, value in headers if name == "HOST"]
    options = [value for name, value in headers if name == "CONNECTION"]
    is_kept = not options or (len(options) == 1 and options[0].lower() == "keep-alive")
    return is_kept and len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None


@lru_cache(maxsize=1024)
def _known_name(name: str) -> str | None:
    """Return the name in upper case; None for one that is malformed or left to gunicorn."""
    known = name.upper()
    return known if _NAME.fullmatch(name) and known not in _LEFT_TO_GUNICORN else None
