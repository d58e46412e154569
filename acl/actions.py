"""Actions (pull, push, delete, `*`), and a parsed scope."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

PULL, PUSH, DELETE, EVERY = "pull", "push", "delete", "*"
ALL = (PULL, PUSH, DELETE, EVERY)
MAX_ORDER = 30_000
"""The highest number of a rule with an order."""

CONCRETE = frozenset((PULL, PUSH, DELETE))


@dataclass(frozen=True, slots=True)
class Access:
    """A parsed scope: the actions on one name of one type.

    `type` is `repository`, `repository(plugin)`, `registry` or an unknown type. `name` is the client's string and need
    not be a repository name; `actions` may be empty or contain `*`.
    """

    type: str
    name: str
    actions: frozenset[str]


def canonical(actions: Iterable[str]) -> str | None:
    """Return `actions` in canonical order, joined by commas; None for no action or an unknown one."""
    wanted = set(actions)
    return ",".join(action for action in ALL if action in wanted) if wanted and wanted <= set(ALL) else None


@lru_cache(maxsize=64)
def interned(actions: frozenset[str]) -> frozenset[str]:
    """Return one object for all equal sets: the caches hold thousands."""
    return actions


def expand(actions: Iterable[str]) -> frozenset[str]:
    """Return the concrete actions: `*` stands for each."""
    wanted = frozenset(actions)
    return CONCRETE if EVERY in wanted else wanted & CONCRETE


def wrong_tags(actions: Iterable[str], *, is_deny: bool) -> str:
    """Return why a rule with these actions can't have tags, "" if it can: a pull is never limited by tags."""
    wanted = expand(actions)
    if PULL in wanted and is_deny:
        return "a pull can't be denied by tag, since a digest has none: deny push and delete, or leave the tags out"
    return "" if wanted - {PULL} else "tags limit push and delete only, and this rule allows neither"


def wrong_order(actions: Iterable[str], tags: str, *, is_deny: bool) -> str:
    """Return why a rule with these values can't have an order, "" if it can: the first in order decides about all."""
    if tags:
        return "a rule with an order has no tags"
    return "a rule with an order and deny denies every action: *" if is_deny and EVERY not in actions else ""
