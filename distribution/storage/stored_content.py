"""The result of an upload: one durable object, its size and digest."""

import uuid
from dataclasses import dataclass

from distribution.protocol.digest import Digest


@dataclass(frozen=True, slots=True)
class Content:
    """An object that may become a blob.

    `offset` and `lease` are those of its upload (None: without a lease): publishing compares both.
    """

    key: str
    size: int
    digest: Digest
    offset: int
    lease: uuid.UUID | None
