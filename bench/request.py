"""Requests as bytes that are made once, and operations: requests that follow each other on one connection."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from bench.response import Response

# Yields a request and is given its answer, which has the status and the length that the request expects.
Operation = Generator["Request", Response, None]
Check = Callable[[Response], bool]


@dataclass(frozen=True, slots=True)
class Request:
    """The bytes of a request and what its answer has to be.

    `body` is sent after `wire` without a copy. `length` is that of the answer's body, None when it may be any.
    `check` looks at a whole answer, in the run that proves an operation before it is measured.
    """

    wire: bytes
    body: tuple[memoryview, ...] = ()
    status: int = 200
    length: int | None = None
    check: Check | None = None

    @property
    def is_head(self) -> bool:
        """Whether the answer has no body."""
        return self.wire.startswith(b"HEAD ")

    def fault_of(self, response: Response, *, is_proof: bool) -> str:
        """Return what is wrong with the answer, empty when nothing is."""
        asked = self.wire[:100].partition(b" HTTP/1.1")[0].decode("latin-1")
        if response.status != self.status:
            return f"{asked}: expected {self.status}, got {response.status} {response.body[:200].decode('latin-1')}"
        if self.length is not None and response.length != self.length:
            return f"{asked}: expected {self.length} bytes, got {response.length}"
        if is_proof and self.check is not None and not self.check(response):
            return f"{asked}: the answer is another one than expected: {response.body[:200].decode('latin-1')}"
        return ""
