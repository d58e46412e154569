"""A violated invariant."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """`what` is broken; `remedy` says what `repair` does about it.

    `is_loss` means that bytes are lost: the repair only marks them as missing until a push sends them again.
    """

    what: str
    remedy: str = ""
    repair: Callable[[], object] | None = None
    is_loss: bool = False
