"""Emptiness and containment of patterns: whether one matches any repository name, or all that another matches."""

from __future__ import annotations

import string
from functools import lru_cache

from acl.glob import ACCOUNT, GROUP, Run, covers, literal_prefix, places
from acl.names import NAME_MAX_CHARACTERS, InvalidNameError, parse_name

_ALPHANUMERIC = string.ascii_lowercase + string.digits
_NAME_CHARACTERS = f"{_ALPHANUMERIC}._-/"
_ACCOUNT_CHARACTERS = f"{string.ascii_letters}{string.digits}._@+$-"
_TAG_CHARACTERS = f"{string.ascii_letters}{string.digits}._-"

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

_places = lru_cache(maxsize=20_000)(places)


def matches_some_name(pattern: str) -> bool:
    """Tell whether any repository name matches `pattern`, with `a` in place of `${account}` and `${group}`."""
    example = pattern.replace(ACCOUNT, "a").replace(GROUP, "a")
    try:
        parse_name(example.replace("*", "a").replace("?", "a"))
    except InvalidNameError:
        return _reaches_an_end(example)
    return True


def _reaches_an_end(pattern: str) -> bool:
    """Simulate the pattern and the grammar in parallel, for names of every length."""
    sets = places(pattern, _NAME_CHARACTERS)
    kinds = [None if found is None else {_KINDS[c] for c in found if c in _KINDS} for found in sets]
    runs = frozenset(position for position, found in enumerate(sets) if found is None or isinstance(found, Run))
    reached: set[_Step] = {(0, "begin")}
    seen: set[_Step] = set()
    for _ in range(NAME_MAX_CHARACTERS + 1):
        reached = _beyond_runs(runs, reached) - seen
        if (len(kinds), "name") in reached:
            return True
        seen |= reached
        inside = [(position, state) for position, state in reached if position < len(kinds)]
        reached = set()
        for position, state in inside:
            allowed = kinds[position]
            behind = position if position in runs else position + 1
            reached |= {(behind, after) for kind, after in _NEXT[state].items() if allowed is None or kind in allowed}
    return False


def _beyond_runs(runs: frozenset[int], reached: set[_Step]) -> set[_Step]:
    beyond = set(reached)
    for position, state in reached:
        while position in runs:
            position += 1  # noqa: PLW2901 - walks on from where it is
            beyond.add((position, state))
    return beyond


def name_covers(wide: str, narrow: str) -> bool:
    """Tell whether the repository pattern `wide` covers `narrow`; True is exact, False may be wrong."""
    if not narrow.startswith(literal_prefix(wide)):
        return False
    # A private character stands for `${account}`, which has any length and is equal in two patterns; another one for
    # `${group}`.
    wide, narrow = (one.replace(ACCOUNT, "\ue000").replace(GROUP, "\ue001") for one in (wide, narrow))
    return covers(_places(wide, _NAME_CHARACTERS), _places(narrow, _NAME_CHARACTERS))


def account_covers(wide: str, narrow: str) -> bool:
    """Tell whether the account pattern `wide` covers `narrow`; True is exact, False may be wrong."""
    return covers(_places(wide, _ACCOUNT_CHARACTERS), _places(narrow, _ACCOUNT_CHARACTERS))


def tag_covers(wide: str, narrow: str) -> bool:
    """Tell whether the pattern of tags `wide` covers `narrow`; True is exact, False may be wrong."""
    return covers(_places(wide, _TAG_CHARACTERS), _places(narrow, _TAG_CHARACTERS))


def work_of(wide: str, narrow: str) -> int:
    """Estimate the characters compared: one state up to the first run of `wide`, any number behind it."""
    behind_run = len(wide) - wide.index("*") if "*" in wide else 0
    return len(wide) + len(narrow) * (1 + behind_run)
