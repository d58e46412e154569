"""Something that is broken."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is broken, and what `mend` would do about it.

    `is_loss`: bytes are lost, and mending only keeps them from being promised until a push brings them back.
    """

    what: str
    remedy: str = ""
    mend: Callable[[], None] | None = None
    is_loss: bool = False
