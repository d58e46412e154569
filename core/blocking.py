"""Say that a thread is about to wait, for the disk or a place, so that the server lets another one serve meanwhile."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

_lend: Callable[[], AbstractContextManager[None]] = nullcontext


def lend_by(lend: Callable[[], AbstractContextManager[None]]) -> None:
    """Let `lend` be told whenever a thread of this process waits; there is nobody to tell outside a server."""
    global _lend  # noqa: PLW0603 - one server a process
    _lend = lend


def blocking_io() -> AbstractContextManager[None]:
    """Return a context in which the calling thread does nothing but wait."""
    return _lend()
