"""A request as gunicorn parses it, with the server's own limits and stricter framing."""

import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders, UnsupportedTransferCoding
from gunicorn.http.message import Request

from server.request_body import NO_BODY, BodyInput, ChunkDecoder, LengthDecoder

# The request line and all fields together: nginx and most others allow 32 KiB.
MAX_HEAD_BYTES = 64 * 1024

_HEAD_END = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
# RFC 3986, 3.2.2 and 3.2.3: `uri-host [ ":" port ]`; a registered name may be empty.
HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z._~!$&'()*+,;=%:-]+\])(?::[0-9]*)?")


class HostError(InvalidHeader):
    """The request names no host, or two (RFC 9112, 3.2); the argument is the whole message."""

    def __str__(self) -> str:
        return str(self.hdr)


class PlainRequest(Request):
    """A request whose forwarded headers gunicorn ignores: the middleware `proxies` decides which to trust."""

    body: Any
    headers: Any
    version: Any
    unreader: Any

    def __init__(self, cfg: Any, unreader: Any, *args: Any) -> None:
        unreader.request = self
        # Each response asks; true until the head is parsed.
        self._is_last = True
        super().__init__(cfg, unreader, *args)

    def parse(self, unreader: Any) -> Any:
        """Read the whole head, then parse it: gunicorn searches it from the start for each packet."""
        head, searched = bytearray(), 0
        self.read_into(unreader, head, stop=True)
        while head.find(_HEAD_END, max(0, searched - 3)) < 0 and not self._is_refused(head, searched):
            searched = len(head)
            if searched > MAX_HEAD_BYTES:
                raise LimitRequestHeaders(f"the head is larger than {MAX_HEAD_BYTES} bytes")
            self.read_into(unreader, head)
        return self._parse_python(unreader, head)  # type: ignore[attr-defined]  # its stubs leave it out

    def _is_refused(self, head: bytearray, searched: int) -> bool:
        """Tell whether gunicorn refuses the head whatever follows.

        A complete request line is parsed at once, with gunicorn's errors: the access log then names it even if the
        rest never comes.
        """
        if _BARE_LF.search(head, searched):
            return True
        if self.method is None:
            # The search starts behind an empty line, which may come first.
            end = head.find(b"\r\n", 2)
            if end < 0 or end > self.limit_request_line + 2:
                return len(head) > self.limit_request_line + 4
            self.parse_request_line(bytes(head[:end].removeprefix(b"\r\n")))
        return False

    def set_body_reader(self) -> None:
        """Choose the body decoder. Raises ParseException, also for framing that gunicorn accepts."""
        super().set_body_reader()
        self._check_host()
        self._is_last = self._asks_to_close()
        if isinstance(self.body.reader, ChunkedReader):
            codings = [value for name, value in self.headers if name == "TRANSFER-ENCODING"]
            if len(codings) != 1 or codings[0].lower() != "chunked":
                raise UnsupportedTransferCoding(", ".join(codings))
            check_trailers = partial(self.parse_headers, from_trailer=True)
            self.body = BodyInput(ChunkDecoder(self.unreader, check_trailers))
        else:
            length = self.body.reader.length
            self.body = BodyInput(LengthDecoder(self.unreader, length)) if length else NO_BODY

    def should_close(self) -> bool:
        """Tell whether this is the last request of the connection."""
        return self.must_close or self._is_last or self.unreader.has_ended

    def _asks_to_close(self) -> bool:
        """Tell whether the client closes after the response (RFC 9112, 9.3): gunicorn reads only a single option."""
        values = [value for name, value in self.headers if name == "CONNECTION"]
        options = [option.strip(" \t").lower() for value in values for option in value.split(",")]
        if self.method == "CONNECT" or "close" in options:
            return True
        return bool(self.version < (1, 1)) and "keep-alive" not in options

    def _check_host(self) -> None:
        """Require a single host in target and `Host`: the application reads `Host` alone."""
        host = next((value for name, value in self.headers if name == "HOST"), None)
        authority = self._authority()
        if host is None:
            if self.version >= (1, 1):
                raise HostError("a request of HTTP/1.1 needs a Host header")
            if authority is not None:
                self.headers.append(("HOST", authority))
            return
        if not HOST.fullmatch(host):
            raise InvalidHeader("HOST")
        if authority is not None and host.lower() != authority.lower():
            # The target would count (RFC 9112, 3.2.2), but a proxy may have routed by `Host`.
            raise HostError("the request line names another host than the Host header")

    def _authority(self) -> str | None:
        """Return the host of an absolute target; None means the target is a path (RFC 9112, 3.2)."""
        uri = self.uri or ""
        if uri.startswith("/") or "://" not in uri:
            return None
        parts = urlsplit(uri)
        # User information is an error (RFC 9110, 4.2.4), and so is an empty host.
        if parts.scheme not in ("http", "https") or not parts.hostname or not HOST.fullmatch(parts.netloc):
            raise HostError("an absolute request target begins with http:// or https:// and a host")
        return parts.netloc

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []
