"""Patterns: `*` any run of characters, `/` included; `?` any one; `[abc]`, `[a-z]`, `[!abc]` one of a set."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

PATTERN_MAX_CHARACTERS = 255

ACCOUNT = "${account}"
"""In the name of a rule: the name of the account that asks."""

_METACHARACTERS = frozenset("*?[")
# A `]` right after the opening stands for itself, as in a shell.
_TOKEN = re.compile(
    r"(?P<star>\*+)|(?P<any>\?)|\[(?P<negated>!?)(?P<members>\]?[^\]]*)\]|(?P<literal>[^*?\[])", re.DOTALL
)
_MEMBER = re.compile(r"(?P<first>.)-(?P<last>.)|.", re.DOTALL)


class InvalidPatternError(ValueError):
    """A text is not a pattern."""


def check_glob(pattern: str) -> None:
    """Raise InvalidPatternError unless `pattern` is one.

    It is none when it is empty, above 255 characters, or has a set that is not closed, is empty, starts with ^ (the
    shell's other negation), holds a range that runs backwards or `${account}`, which is no set of characters.
    """
    _check_length(pattern)
    if not is_literal(pattern):
        _parts(pattern)


def compile_glob(pattern: str, account: str | None = None) -> Callable[[str], bool]:
    """Return a function that says whether a whole text matches `pattern`; case counts.

    `${account}` stands for the text of `account`, when there is one. The time is at most that of comparing the pattern
    with the text at each character, whatever the pattern. Raises InvalidPatternError.
    """
    check_glob(pattern)
    if account is not None:
        pattern = for_account(pattern, account)
    if is_literal(pattern):
        return partial(operator.eq, pattern)
    match = re.compile(_translate(pattern), re.DOTALL).fullmatch
    return lambda text: match(text) is not None


def is_literal(pattern: str) -> bool:
    """Say whether `pattern` has no metacharacter, so that it matches itself only."""
    return _METACHARACTERS.isdisjoint(pattern)


def literal_prefix(pattern: str) -> str:
    """Return what every text that matches `pattern` begins with."""
    ends = (position for position, character in enumerate(pattern) if character in _METACHARACTERS)
    return pattern[: next(ends, len(pattern))]


def for_account(pattern: str, account: str) -> str:
    """Return `pattern` with the name of `account` for `${account}`, of which no character is a metacharacter."""
    return pattern.replace(ACCOUNT, escape(account))


def places(pattern: str, alphabet: str) -> list[frozenset[str] | None]:
    """Return what may stand at each place of `pattern`: characters of `alphabet`; None: any run of them.

    A literal is in its set, of the alphabet or not. Raises InvalidPatternError.
    """
    found: list[frozenset[str] | None] = []
    for token in _tokens(pattern):
        if token["star"]:
            found.append(None)
        elif token["literal"]:
            found.append(_only(token["literal"]))
        else:
            found.append(_those_of(_one_character(token), alphabet))
    return found


@lru_cache(maxsize=1000)
def _only(character: str) -> frozenset[str]:
    """Return the set of one character: one object for all patterns, of which thousands are kept."""
    return frozenset(character)


@lru_cache(maxsize=1000)
def _those_of(expression: str, alphabet: str) -> frozenset[str]:
    return frozenset(re.findall(expression, alphabet))


def covers(wide: list[frozenset[str] | None], narrow: list[frozenset[str] | None]) -> bool:
    """Tell whether `wide` matches every text that `narrow` matches, both as `places` of one alphabet.

    Each place of `narrow` is taken for a character that only a set around its own matches, and a run for one that only
    a run matches. So True is always right; False is wrong for a few pairs as `?*` and `*?`.
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
        elif place is not None and place <= allowed:
            yield position + 1


def _beyond_runs(wide: list[frozenset[str] | None], reached: set[int]) -> set[int]:
    """Add the positions behind runs, which may be empty."""
    for position in sorted(reached):
        while position < len(wide) and wide[position] is None:
            position += 1  # noqa: PLW2901 - walks on from where it is
            reached.add(position)
    return reached


def escape(text: str) -> str:
    """Return a pattern that matches `text` only; it is longer by two characters per metacharacter."""
    return "".join(f"[{character}]" if character in _METACHARACTERS else character for character in text)


def _check_length(pattern: str) -> None:
    if not pattern:
        raise InvalidPatternError("a pattern is empty; * matches every name")
    if len(pattern) > PATTERN_MAX_CHARACTERS:
        raise InvalidPatternError(f"a pattern has at most {PATTERN_MAX_CHARACTERS} characters, not {len(pattern)}")


def _translate(pattern: str) -> str:
    """Return the pattern as a regular expression for fullmatch.

    What stands between two stars has a fixed length, so its leftmost match leaves the most for the rest and
    never has to move: the atomic groups say so, and nothing is tried twice. A plain `.*` between the parts
    takes minutes for six stars.
    """
    first, *others = _parts(pattern)
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last


def _parts(pattern: str) -> list[str]:
    """Return the regular expressions of what stands before, between and after the stars."""
    parts = [""]
    for token in _tokens(pattern):
        if token["star"]:
            parts.append("")
        else:
            parts[-1] += _one_character(token)
    return parts


def _tokens(pattern: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            raise InvalidPatternError(f"the [ at character {position + 1} of {pattern!a} has no ]")
        yield token
        position = token.end()


def _one_character(token: re.Match[str]) -> str:
    if token["any"]:
        return "."
    if token["literal"]:
        return re.escape(token["literal"])
    return f"[{'^' if token['negated'] else ''}{_members(token['members'])}]"


def _members(text: str) -> str:
    if not text:
        raise InvalidPatternError("a set [] or [!] has no characters")
    if ACCOUNT in text:
        raise InvalidPatternError(f"the set [{text}] holds {ACCOUNT}, which is a name and no set of characters")
    if text.startswith("^"):
        raise InvalidPatternError(f"the set [{text}] starts with ^: a negated set is [!…]")
    return "".join(map(_member, _MEMBER.finditer(text)))


def _member(match: re.Match[str]) -> str:
    first, last = match["first"], match["last"]
    if first is None:
        return re.escape(match[0])
    if first > last:
        raise InvalidPatternError(f"the range {first}-{last} runs backwards")
    return f"{re.escape(first)}-{re.escape(last)}"
