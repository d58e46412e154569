"""The body of a blob that is still being fetched: read behind the writer, and never complete before it is verified."""

import errno
import os
from collections.abc import Callable

from core.blocking import blocking_io

WAIT_SECONDS = 0.25


class CutOffError(OSError):
    """The fetch has failed: the client's connection is aborted, so that it does not take a prefix for the blob."""

    def __init__(self, reason: str) -> None:
        # As a lost client: the fetch has logged why.
        super().__init__(errno.ECONNRESET, reason)


Wait = Callable[[float], bool]
"""Waits for further bytes at most so many seconds; returns whether the blob is verified. Raises CutOffError."""


class GrowingFile:
    """A file-like object over a descriptor, which it owns.

    The last byte is held back until the digest is known to be right: a client with a Content-Length sees any earlier
    end as an error.
    """

    def __init__(self, descriptor: int, size: int, wait: Wait) -> None:
        self.size = size
        self._descriptor, self._wait, self._at = descriptor, wait, 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, and none at the end only. Raises CutOffError."""
        is_verified = self._wait(0)
        while True:
            end = self.size if is_verified else self.size - 1
            wanted = min(size if size >= 0 else 64 * 1024, end - self._at)
            piece = os.pread(self._descriptor, wanted, self._at) if wanted > 0 else b""
            self._at += len(piece)
            if piece or (is_verified and self._at >= end):
                return piece
            if is_verified:
                raise CutOffError(f"the file ends at {self._at} instead of {end}")
            with blocking_io():
                is_verified = self._wait(WAIT_SECONDS)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
