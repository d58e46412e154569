"""What an upload came to: one durable object, its size and digest."""

import uuid
from dataclasses import dataclass

from distribution.protocol.digest import Digest


@dataclass(frozen=True, slots=True)
class Content:
    """An object that may become a blob.

    `offset` is where its upload stands, and `lease` who holds it (None: nobody needs to): both must still be so
    when it is published.
    """

    key: str
    size: int
    digest: Digest
    offset: int
    lease: uuid.UUID | None
