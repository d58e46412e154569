"""What a pattern can match: whether any repository can be called so, and whether another pattern matches all of it."""

from __future__ import annotations

import string
from functools import lru_cache

from acl.glob import ACCOUNT, covers, literal_prefix, places
from acl.names import NAME_MAX_CHARACTERS, InvalidNameError, parse_name

_ALPHANUMERIC = string.ascii_lowercase + string.digits
_NAME_CHARACTERS = f"{_ALPHANUMERIC}._-/"
_ACCOUNT_CHARACTERS = f"{string.ascii_letters}{string.digits}._@+$-"
# Stands for the name of the account that asks: of any length, and the same one in two patterns.
_SOMEBODY = "\ue000"

# The grammar of `acl.names` as an automaton: what may follow, by the kind of character. It may end behind `name` only.
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
    """Walk pattern and grammar side by side, by the kind of each character, for the names of every length."""
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
    """Tell whether the pattern `wide` of repositories matches all that `narrow` matches; True is always right."""
    return narrow.startswith(literal_prefix(wide)) and covers(_name_places(wide), _name_places(narrow))


def account_covers(wide: str, narrow: str) -> bool:
    """Tell whether the pattern `wide` of accounts matches all that `narrow` matches; True is always right."""
    return covers(_account_places(wide), _account_places(narrow))


def work_of(wide: str, narrow: str) -> int:
    """Return about how many characters `wide` and `narrow` make a comparison look at.

    Up to the first run of `wide` one place is reached at a time, behind it all may be.
    """
    behind_run = len(wide) - wide.index("*") if "*" in wide else 0
    return len(wide) + len(narrow) * (1 + behind_run)


@lru_cache(maxsize=10_000)
def _account_places(pattern: str) -> list[frozenset[str] | None]:
    return places(pattern, _ACCOUNT_CHARACTERS)


@lru_cache(maxsize=10_000)
def _name_places(pattern: str) -> list[frozenset[str] | None]:
    return places(pattern.replace(ACCOUNT, _SOMEBODY), _NAME_CHARACTERS)
