"""The fast way to parse a head: a path over HTTP/1.1, and no body or one with a length, as most clients send it.

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
from server.request_body import NO_BODY, BodyInput, LengthDecoder

# A client repeats its fields on a connection, but for `Accept`, which is another one for blobs, and lengths of bodies.
REMEMBERED = 6
REMEMBERED_BYTES = 4096

# An origin-form target (RFC 9112, 3.2.1) without a fragment; `//` could begin an authority.
_TARGET = re.compile(r"/(?:[!\"$-.0-~][!\"$-~]*)?")
# No underscore: WSGI has one name for `A-B` and `A_B`.
MAX_NAME_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z0-9-]+")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# They frame a body in another way than by its length.
_LEFT_TO_GUNICORN = frozenset(("TRANSFER-ENCODING", "TRAILER", "EXPECT"))
_LENGTH = re.compile(r"[0-9]{1,15}")
_CONTROLS = {*range(0x20), 0x7F} - {*b"\r\n"}
# `bytes.translate` returns its own object when nothing changes; a regular expression takes five times as long.
_WITHOUT_CONTROLS = bytes(0x3F if byte in _CONTROLS else byte for byte in range(256))

Headers = Sequence[tuple[str, str]]
# The fields, and the bytes of the body.
_Section = tuple[Headers, int]


class FastRequest(PlainRequest):
    """A request that FastParser has read; gunicorn's constructor, which would read it, is not called."""

    version = (1, 1)
    scheme = "http"
    must_close = False
    proxy_protocol_info = None
    _expected_100_continue = False
    _is_last = False

    def __init__(self, unreader: Any, method: str, uri: str, headers: Headers, length: int) -> None:
        unreader.request = self
        self.unreader = unreader
        self.method = method
        self.uri = uri
        self.path, _, self.query = uri.partition("?")
        self.headers = headers
        self.body = BodyInput(LengthDecoder(unreader, length)) if length else NO_BODY


class FastParser:
    """The parser of one connection, which remembers its last header sections: equal bytes have equal fields."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg
        self._remembered: dict[bytes, _Section] = {}

    def parse(self, unreader: Any, received: bytes) -> FastRequest | None:
        """Return the request whose head begins `received`, and put a beginning of its body back to the unreader.

        None leaves all to gunicorn's parser.
        """
        end = received.find(b"\r\n")
        if not 0 < end <= self._cfg.limit_request_line:
            return None
        # An octet beyond ASCII becomes a character that no target has.
        method, _, rest = received[:end].decode("latin-1").partition(" ")
        uri, _, version = rest.partition(" ")
        if version != "HTTP/1.1" or method not in _METHODS or not _TARGET.fullmatch(uri):
            return None
        stop = len(received)
        found = self._remembered.get(received[end:]) if stop - end <= REMEMBERED_BYTES else None
        if found is None:
            stop = received.find(b"\r\n\r\n", end) + 4
            found = self._section(received[end:stop]) if stop > end else None
        # Behind a head without a body the next request begins.
        if found is None or (not found[1] and stop < len(received)):
            return None
        if stop < len(received):
            unreader.unread(received[stop:])
        return FastRequest(unreader, method, uri, *found)

    def _section(self, section: bytes) -> _Section | None:
        found = self._remembered.get(section) or _section_of(section, self._cfg)
        if found is not None and len(section) <= REMEMBERED_BYTES and section not in self._remembered:
            if len(self._remembered) == REMEMBERED:
                self._remembered.clear()
            self._remembered[section] = found
        return found


def _section_of(section: bytes, cfg: Any) -> _Section | None:
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
    lengths = [value for name, value in headers if name == "CONTENT-LENGTH"] or ["0"]
    if not _is_plain(headers) or len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        return None
    return tuple(headers), int(lengths[0])


def _is_plain(headers: Headers) -> bool:
    """Tell whether the fields name one host, at most one type, and leave the connection open."""
    hosts = [value for name, value in headers if name == "HOST"]
    options = [value for name, value in headers if name == "CONNECTION"]
    is_kept = not options or (len(options) == 1 and options[0].lower() == "keep-alive")
    types = [name for name, _ in headers if name == "CONTENT-TYPE"]
    return is_kept and len(types) < 2 and len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None


@lru_cache(maxsize=1024)
def _known_name(name: str) -> str | None:
    """Return the name in upper case; None for one that is malformed or left to gunicorn."""
    known = name.upper()
    return known if _NAME.fullmatch(name) and known not in _LEFT_TO_GUNICORN else None
