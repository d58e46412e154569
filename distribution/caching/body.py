"""The response of an upstream as the body of an upload; the upstream is asked at the first read."""

from collections.abc import Callable
from typing import IO

from core.api.body import Body
from core.api.errors import ErrorCode
from distribution.caching.faults import as_client_error
from upstreams.exchange import Exchange, UpstreamError


class UpstreamBody(Body):
    """A body without a known length: what is cut raises UNAVAILABLE, so a prefix is never taken for the whole.

    `spool`, if any, gets every byte too. `on_piece` is called after each.
    """

    def __init__(
        self, ask: Callable[[], Exchange], on_head: Callable[[Exchange], None], on_piece: Callable[[int], None]
    ) -> None:
        self._ask, self._on_head, self._on_piece = ask, on_head, on_piece
        self._answer: Exchange | None = None
        self.spool: IO[bytes] | None = None
        self.length: int | None = None
        self.is_incomplete = self.has_stalled = self.was_refused = self.is_malformed = False

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end. Raises the error for a client."""
        buffer = bytearray(size if size >= 0 else 64 * 1024)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def readinto(self, view: memoryview, /) -> int:
        """Read available bytes into `view` and return their number. Raises the error for a client."""
        try:
            if self._answer is None:
                self._answer = self._ask()
                self._on_head(self._answer)
            size = self._answer.readinto(view)
        except UpstreamError as error:
            raise as_client_error(error, ErrorCode.BLOB_UNKNOWN) from error
        if self.spool is not None:
            self.spool.write(view[:size])
        self._on_piece(size)
        return size

    def discard(self) -> None:
        """End the response: nothing waits for its rest."""
        self.close()

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
