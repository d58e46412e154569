"""The actions that a rule can allow."""

from collections.abc import Iterable
from functools import lru_cache

PULL, PUSH, DELETE, EVERY = "pull", "push", "delete", "*"
ALL = (PULL, PUSH, DELETE, EVERY)
CONCRETE = frozenset((PULL, PUSH, DELETE))


def canonical(actions: Iterable[str]) -> str | None:
    """Return `actions` in their one order, joined by commas; None when there is none or one is unknown."""
    wanted = set(actions)
    return ",".join(action for action in ALL if action in wanted) if wanted and wanted <= set(ALL) else None


@lru_cache(maxsize=64)
def shared(actions: frozenset[str]) -> frozenset[str]:
    """Return one object for all equal sets, of which memories hold thousands."""
    return actions


def expand(actions: Iterable[str]) -> frozenset[str]:
    """Return the concrete actions that `actions` stand for: `*` is every one."""
    wanted = frozenset(actions)
    return CONCRETE if EVERY in wanted else wanted & CONCRETE
