"""Globs: `*` any run of characters, including `/`; `?` any character; `[abc]`, `[a-z]`, `[!abc]` one of a set.

`*([abc])` is any run of characters of a set, as in the extended globs of ksh and bash: `*([!/])` is one without `/`.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

PATTERN_MAX_CHARACTERS = 255

ACCOUNT = "${account}"
"""In the name of a rule: the name of the requesting account."""

GROUP = "${group}"
"""In the name of a rule: a group of the requesting account, each in turn; in a rule for a group, that one."""

_METACHARACTERS = frozenset("*?[")
# A `]` right after the opening stands for itself, as in a shell.
_SET = r"\[!?\]?[^\]]*\]"
_TOKEN = re.compile(rf"\*\({_SET}\)|\*+?(?=\*\({_SET}\))|\*+|{_SET}|[^\[]", re.DOTALL)
_RUN_OF_SET = re.compile(rf"\*\(({_SET})\)", re.DOTALL)
_PLACEHOLDER = re.compile("|".join(map(re.escape, (ACCOUNT, GROUP))))
_RANGE = re.compile(r"(.)-(.)|.", re.DOTALL)


class InvalidPatternError(ValueError):
    """The string is not a pattern."""


def check_glob(pattern: str) -> None:
    """Raise InvalidPatternError unless `pattern` is valid.

    It has 1 to 255 characters. A set is closed and not empty, has no reversed range, does not start with ^ (the shell's
    other negation) and does not contain `${account}` or `${group}`.
    """
    if not pattern:
        raise InvalidPatternError("a pattern is empty; * matches every name")
    if len(pattern) > PATTERN_MAX_CHARACTERS:
        raise InvalidPatternError(f"a pattern has at most {PATTERN_MAX_CHARACTERS} characters, not {len(pattern)}")
    for token in _tokens(pattern):
        if token.startswith(("[", "*([")):
            _check_set(token.strip("*()")[1:-1].removeprefix("!"))


def _check_set(members: str) -> None:
    if not members:
        raise InvalidPatternError("a set [] or [!] has no characters")
    for placeholder in (ACCOUNT, GROUP):
        if placeholder in members:
            raise InvalidPatternError(
                f"the set [{members}] contains {placeholder}, which is a name and no set of characters"
            )
    if members.startswith("^"):
        raise InvalidPatternError(f"the set [{members}] starts with ^: a negated set is [!…]")
    for first, last in _RANGE.findall(members):
        if first > last:
            raise InvalidPatternError(f"the range {first}-{last} runs backwards")


def compile_glob(pattern: str, account: str | None = None, group: str | None = None) -> Callable[[str], bool]:
    """Return a function that tells whether a whole string matches `pattern`, by case.

    With `account`, `${account}` stands for that name, with `group` `${group}`. The time is bounded by the product of
    both lengths, whatever the pattern. Raises InvalidPatternError.
    """
    check_glob(pattern)
    pattern = for_requester(pattern, account, group)
    if is_literal(pattern):
        return partial(operator.eq, pattern)
    if _RUN_OF_SET.search(pattern):
        prefix, automaton = literal_prefix(pattern), _Automaton(pattern)
        # Most names end here: a step of the automaton takes as long as the whole comparison.
        return lambda text: text.startswith(prefix) and automaton.matches(text)
    # Atomic groups between the stars: a plain `.*` there takes minutes for six stars.
    match = re.compile(fnmatch.translate(pattern)).match
    return lambda text: match(text) is not None


class _Automaton:
    """Simulate a pattern with runs of sets, one bit a state: bit n means that n of its tokens have matched.

    The earliest end of a run of a set need not be the right one, so atomic groups would be wrong, and backtracking
    takes minutes for a few runs.
    """

    def __init__(self, pattern: str) -> None:
        self._tokens = list(_tokens(pattern))
        self._runs = sum(1 << number for number, token in enumerate(self._tokens) if token.startswith("*"))
        self._of_character: dict[str, tuple[int, int]] = {}
        self._start = self._beyond_runs(1)

    def matches(self, text: str) -> bool:
        states = self._start
        for character in text:
            if character not in self._of_character:
                self._of_character[character] = self._steps(character)
            once, again = self._of_character[character]
            states = self._beyond_runs((states & once) << 1 | states & again)
            if not states:
                return False
        return bool(states >> len(self._tokens))

    def _steps(self, character: str) -> tuple[int, int]:
        """Return the states whose token is this character, and those within a run of it."""
        once = again = 0
        for number, token in enumerate(self._tokens):
            run = _RUN_OF_SET.fullmatch(token)
            if token.startswith("*") and run is None:
                again |= 1 << number
            elif fnmatch.fnmatchcase(character, run[1] if run else token):
                once, again = (once, again | 1 << number) if run else (once | 1 << number, again)
        return once, again

    def _beyond_runs(self, states: int) -> int:
        """Add the states behind runs, which may be empty."""
        while (beyond := states | (states & self._runs) << 1) != states:
            states = beyond
        return states


def is_literal(pattern: str) -> bool:
    """Tell whether `pattern` has no metacharacter, so it matches only itself."""
    return _METACHARACTERS.isdisjoint(pattern)


def literal_prefix(pattern: str) -> str:
    """Return the common prefix of all strings that match `pattern`."""
    ends = (position for position, character in enumerate(pattern) if character in _METACHARACTERS)
    return pattern[: next(ends, len(pattern))]


def for_requester(pattern: str, account: str | None = None, group: str | None = None) -> str:
    """Replace `${account}` and `${group}` by escaped names, each unless it is None.

    In one pass: a group may be called `${account}`.
    """
    names = {ACCOUNT: account, GROUP: group}
    return _PLACEHOLDER.sub(lambda found: found[0] if (n := names[found[0]]) is None else escape(n), pattern)


class Run(frozenset[str]):
    """A run of these characters, which may be empty, as a place of a pattern."""


def places(pattern: str, alphabet: str) -> list[frozenset[str] | None]:
    """Return the characters of `alphabet` at each position of `pattern`; None means any run.

    A literal is in its set even if it is not in the alphabet. Raises InvalidPatternError.
    """
    return [None if not token.strip("*") else _characters(token, alphabet) for token in _tokens(pattern)]


@lru_cache(maxsize=2000)
def _characters(token: str, alphabet: str) -> frozenset[str]:
    # Cached so that thousands of patterns share their sets.
    if run := _RUN_OF_SET.fullmatch(token):
        return Run(fnmatch.filter(alphabet, run[1]))
    return frozenset(token) if is_literal(token) else frozenset(fnmatch.filter(alphabet, token))


def covers(wide: list[frozenset[str] | None], narrow: list[frozenset[str] | None]) -> bool:
    """Tell whether `wide` matches every string that `narrow` matches, both as `places` of one alphabet.

    A set matches only its subsets, and a run is matched only by a run of its characters. So True is exact; False is
    wrong for a few pairs such as `?*` and `*?`.
    """
    reached = _beyond_runs(wide, {0})
    for place in narrow:
        reached = _beyond_runs(wide, set(_steps(wide, reached, place)))
    return len(wide) in reached


def _steps(wide: list[frozenset[str] | None], reached: set[int], place: frozenset[str] | None) -> Iterator[int]:
    for position in reached:
        if position == len(wide):
            continue
        allowed = wide[position]
        if allowed is None:
            yield position
        elif place is not None and place <= allowed and (isinstance(allowed, Run) or not isinstance(place, Run)):
            yield position if isinstance(allowed, Run) else position + 1


def _beyond_runs(wide: list[frozenset[str] | None], reached: set[int]) -> set[int]:
    """Add the positions behind runs, which may be empty."""
    for position in sorted(reached):
        while position < len(wide) and (wide[position] is None or isinstance(wide[position], Run)):
            position += 1  # noqa: PLW2901 - walks on from where it is
            reached.add(position)
    return reached


def escape(text: str) -> str:
    """Return a pattern that matches only `text`; each metacharacter adds two characters."""
    return "".join(f"[{character}]" if character in _METACHARACTERS else character for character in text)


def _tokens(pattern: str) -> Iterator[str]:
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            raise InvalidPatternError(f"the [ at character {position + 1} of {pattern!a} has no ]")
        yield token[0]
        position = token.end()
