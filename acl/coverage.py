"""Emptiness and containment of patterns: whether one matches any repository name, or all that another matches."""

from __future__ import annotations

import string
from functools import lru_cache

from acl.glob import ACCOUNT, covers, literal_prefix, places
from acl.names import NAME_MAX_CHARACTERS, InvalidNameError, parse_name

_ALPHANUMERIC = string.ascii_lowercase + string.digits
_NAME_CHARACTERS = f"{_ALPHANUMERIC}._-/"
_ACCOUNT_CHARACTERS = f"{string.ascii_letters}{string.digits}._@+$-"
# Stands for `${account}`: of any length, and equal in two patterns.
_ANY_ACCOUNT = "\ue000"

# The grammar of `acl.names` as an automaton over kinds of characters; `name` is the only accepting state.
_NEXT = {
    "begin": {"a": "name"},
    "name": {"a": "name", ".": "dot", "_": "underscore", "-": "dash", "/": "begin"},
    "dot": {"a": "name"},
    "underscore": {"a": "name", "_": "underscores"},
    "underscores": {"a": "name"},
    "dash": {"a": "name", "-": "dash"},
}
_KINDS = dict.fromkeys(_ALPHANUMERIC, "a") | {separator: separator for separator in "._-/"}
_Step = tuple[int, str]


def matches_some_name(pattern: str) -> bool:
    """Tell whether any repository name matches `pattern`, in which `${account}` is a name as `a`."""
    example = pattern.replace(ACCOUNT, "a")
    try:
        parse_name(example.replace("*", "a").replace("?", "a"))
    except InvalidNameError:
        return _reaches_an_end(example)
    return True


def _reaches_an_end(pattern: str) -> bool:
    """Simulate pattern and grammar in parallel, for names of every length."""
    sets = places(pattern, _NAME_CHARACTERS)
    kinds = [None if found is None else {_KINDS[c] for c in found if c in _KINDS} for found in sets]
    reached: set[_Step] = {(0, "begin")}
    seen: set[_Step] = set()
    for _ in range(NAME_MAX_CHARACTERS + 1):
        reached = _beyond_runs(kinds, reached) - seen
        if (len(kinds), "name") in reached:
            return True
        seen |= reached
        reached = {step for position, state in reached for step in _steps(kinds, position, state)}
    return False


def _beyond_runs(kinds: list[set[str] | None], reached: set[_Step]) -> set[_Step]:
    beyond = set(reached)
    for position, state in reached:
        while position < len(kinds) and kinds[position] is None:
            position += 1  # noqa: PLW2901 - walks on from where it is
            beyond.add((position, state))
    return beyond


def _steps(kinds: list[set[str] | None], position: int, state: str) -> set[_Step]:
    if position == len(kinds):
        return set()
    allowed = kinds[position]
    behind = position if allowed is None else position + 1
    return {(behind, after) for kind, after in _NEXT[state].items() if allowed is None or kind in allowed}


def name_covers(wide: str, narrow: str) -> bool:
    """Tell whether the repository pattern `wide` covers `narrow`; True is exact, False may be wrong."""
    return narrow.startswith(literal_prefix(wide)) and covers(_name_places(wide), _name_places(narrow))


def account_covers(wide: str, narrow: str) -> bool:
    """Tell whether the account pattern `wide` covers `narrow`; True is exact, False may be wrong."""
    return covers(_account_places(wide), _account_places(narrow))


def work_of(wide: str, narrow: str) -> int:
    """Estimate the characters compared: one state up to the first run of `wide`, any number behind it."""
    behind_run = len(wide) - wide.index("*") if "*" in wide else 0
    return len(wide) + len(narrow) * (1 + behind_run)


@lru_cache(maxsize=10_000)
def _account_places(pattern: str) -> list[frozenset[str] | None]:
    return places(pattern, _ACCOUNT_CHARACTERS)


@lru_cache(maxsize=10_000)
def _name_places(pattern: str) -> list[frozenset[str] | None]:
    return places(pattern.replace(ACCOUNT, _ANY_ACCOUNT), _NAME_CHARACTERS)
