"""Blocking I/O: a thread that waits for a disk or a lock gives its slot of the server to another thread meanwhile."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

_release_slot: Callable[[], AbstractContextManager[None]] = nullcontext


def release_slot_by(release_slot: Callable[[], AbstractContextManager[None]]) -> None:
    """Enter `release_slot()` around every wait of this process; without a server there are no slots."""
    global _release_slot  # noqa: PLW0603 - one server a process
    _release_slot = release_slot


def blocking_io() -> AbstractContextManager[None]:
    """Return a context in which the calling thread only waits."""
    return _release_slot()
