"""The response to a push."""

from typing import IO, NamedTuple


class Pushed(NamedTuple):
    """A response without a body."""

    status: int
    headers: dict[str, str]
    payload: bytes = b""
    file: IO[bytes] | None = None
