"""Patterns: `*` any run of characters, `/` included; `?` any one; `[abc]`, `[a-z]`, `[!abc]` one of a set."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import partial

PATTERN_MAX_CHARACTERS = 255

_METACHARACTERS = frozenset("*?[")
# A `]` right after the opening stands for itself, as in a shell.
_TOKEN = re.compile(
    r"(?P<star>\*+)|(?P<any>\?)|\[(?P<negated>!?)(?P<members>\]?[^\]]*)\]|(?P<literal>[^*?\[])", re.DOTALL
)
_MEMBER = re.compile(r"(?P<first>.)-(?P<last>.)|.", re.DOTALL)


class InvalidPatternError(ValueError):
    """A text is not a pattern."""


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether a whole text matches `pattern`; case counts.

    The time is at most that of comparing the pattern with the text at each character, whatever the pattern.
    Raises InvalidPatternError for a pattern that is empty, above 255 characters, or has a set that is not
    closed, is empty, starts with ^ (the shell's other negation) or holds a range that runs backwards.
    """
    _check_length(pattern)
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
    parts, position = [""], 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            raise InvalidPatternError(f"the [ at character {position + 1} of {pattern!a} has no ]")
        if token["star"]:
            parts.append("")
        else:
            parts[-1] += _one_character(token)
        position = token.end()
    return parts


def _one_character(token: re.Match[str]) -> str:
    if token["any"]:
        return "."
    if token["literal"]:
        return re.escape(token["literal"])
    return f"[{'^' if token['negated'] else ''}{_members(token['members'])}]"


def _members(text: str) -> str:
    if not text:
        raise InvalidPatternError("a set [] or [!] has no characters")
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
