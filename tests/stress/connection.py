"""One client's connection to the server, kept alive as clients do."""

import http.client
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.clients.server import Server
from tests.stress.tally import Tally

ACCOUNT = "alice"
# 503 says when to come back; a client gives up after a while.
ATTEMPTS = 20
TOKEN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered, and when it was asked."""

    asked_at: float
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error's body."""
        return str(json.loads(self.body)["errors"][0]["code"]) if self.body else ""


class Connection:
    """Sends requests one after the other, with a token for all of `repositories`."""

    def __init__(self, server: Server, repositories: Iterable[str], tally: Tally) -> None:
        self._server = server
        self._scopes = [f"repository:{name}:pull,push,delete" for name in repositories]
        self._tally = tally
        self._token, self._token_until = "", 0.0
        self._http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        expected: Iterable[int],
        body: bytes | list[bytes] | None = None,
        content_type: str = "application/octet-stream",
    ) -> Reply:
        """Send a request, again while the answer is 503; a list as `body` goes in chunks.

        Raises FaultError when the answer has none of the `expected` statuses.
        """
        reply = self._send(method, path, body, content_type)
        for _ in range(ATTEMPTS):
            if reply.status != 503:
                break
            if "retry-after" not in reply.headers:
                raise self._tally.fail(f"{method} {path}: 503 without Retry-After")
            time.sleep(0.2)
            reply = self._send(method, path, body, content_type)
        if reply.status not in expected:
            raise self._tally.fail(f"{method} {path}: {reply.status} {reply.body[:300]!r}")
        return reply

    def abandon(self, path: str, body: bytes) -> None:
        """Begin a chunked PATCH and hang up in the middle."""
        self._http.putrequest("PATCH", path)
        for name, value in (*self._headers().items(), ("Transfer-Encoding", "chunked")):
            self._http.putheader(name, value)
        self._http.endheaders(b"%x\r\n" % len(body) + body)
        self._http.close()

    def _send(self, method: str, path: str, body: bytes | list[bytes] | None, content_type: str) -> Reply:
        is_chunked = isinstance(body, list)
        headers = self._headers() | {"Content-Type": content_type}
        headers |= {"Transfer-Encoding": "chunked"} if is_chunked else {}
        asked_at = time.monotonic()
        try:
            sent: bytes | Iterator[bytes] | None = iter(body) if isinstance(body, list) else body
            self._http.request(method, path, sent, headers, encode_chunked=is_chunked)
            response = self._http.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            reply = Reply(asked_at, response.status, received, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise self._tally.fail(f"{method} {path}: {type(error).__name__} {error}") from error
        self._tally.add("requests")
        self._tally.add("unavailable", reply.status == 503)
        self._tally.add(f"{method} {_what(path)} {reply.status}")
        return reply

    def _headers(self) -> dict[str, str]:
        if time.monotonic() > self._token_until:
            self._token = self._server.token(ACCOUNT, *self._scopes)
            self._token_until = time.monotonic() + TOKEN_SECONDS
        return {"Authorization": f"Bearer {self._token}"}


def _what(path: str) -> str:
    """Return which kind of thing a path names."""
    if "/uploads/" in path:
        return "upload"
    return next((kind for kind in ("blobs", "manifests", "referrers", "tags") if f"/{kind}/" in path), "catalog")
