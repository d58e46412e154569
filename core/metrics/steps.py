"""The timed steps of the request that a thread serves: the children of its span in a trace.

Steps are what the histograms of `catalog` observe anyway: statements, transactions and operations of the storage.
"""

import threading
import time
from typing import NamedTuple

# A closing PUT of many small chunks has one for each.
MAX_STEPS = 100


class Step(NamedTuple):
    """A step; `began` and `ended` in nanoseconds since 1970."""

    name: str
    began: int
    ended: int


class _Thread(threading.local):
    steps: list[Step] | None = None


_thread = _Thread()

is_kept = False
"""Whether this process keeps steps; a server without traces does not."""


def keep() -> None:
    """Keep steps in this process from here on."""
    global is_kept  # noqa: PLW0603 - one setting a process
    is_kept = True


def begin() -> None:
    """Begin a request of this thread."""
    _thread.steps = []


def add(name: str, seconds: float) -> None:
    """Add a step that ends now; ignored outside a request, and beyond MAX_STEPS."""
    steps = _thread.steps
    if steps is not None and len(steps) < MAX_STEPS:
        ended = time.time_ns()
        steps.append(Step(name, ended - int(seconds * 1e9), ended))


def end() -> list[Step]:
    """End the request of this thread; return its steps."""
    steps, _thread.steps = _thread.steps, None
    return steps or []
