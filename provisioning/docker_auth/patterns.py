"""Patterns of docker_auth as tokens, and tokens as patterns of rules.

A pattern is a glob of Go's `path.Match`, whose `*` and `?` match no `/`, or a regular expression between slashes, which
matches a part. Both become sequences of tokens over an alphabet: no name of a repository or account has another
character, so sets of characters are compared within it.
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from acl.glob import ACCOUNT

NAME_ALPHABET = frozenset(string.ascii_lowercase + string.digits + "._-/")
ACCOUNT_ALPHABET = frozenset(string.ascii_letters + string.digits + "._@+$-")
ANY_ALPHABET = frozenset(map(chr, range(0x20, 0x7F)))

ACCOUNT_MARK = "\ue000"
"""Stands in a pattern for the name of the account."""

_AROUND_ACCOUNT = re.compile(rf"(?:\[[^\]]*|\\){ACCOUNT_MARK}")
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_META = frozenset("\\.+*?()|[]{}^$")


class UnsupportedError(Exception):
    """A rule can't say this; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Token:
    """One of `characters`, or with `is_run` any number of them; None: the name of the account."""

    characters: frozenset[str] | None
    is_run: bool = False


Tokens = tuple[Token, ...]
THE_ACCOUNT = Token(None)


def quote(text: str) -> str:
    """Return `text` as docker_auth puts it into a pattern: as `regexp.QuoteMeta`."""
    return "".join(f"\\{character}" if character in _META else character for character in text)


def placeholders(pattern: str) -> list[str]:
    """Return what is within `${…}`."""
    return _PLACEHOLDER.findall(pattern)


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """Replace placeholders by `values`, which are quoted already. Raises UnsupportedError for others."""

    def value(found: re.Match[str]) -> str:
        if found[1] in values:
            return values[found[1]]
        raise UnsupportedError(f"{found[0]} has no counterpart here: write an entry for each value it has")

    return _PLACEHOLDER.sub(value, pattern)


def of_glob(pattern: str, alphabet: frozenset[str]) -> Tokens | None:
    """Return the tokens of a glob of `path.Match`; None: it is malformed, and matches nothing.

    Raises UnsupportedError.
    """
    if _AROUND_ACCOUNT.search(pattern):
        raise UnsupportedError("${account} within [ ] or behind a backslash: write an entry for each account")
    found: list[Token] = []
    position, inside, slash = 0, alphabet - {"/"}, [Token(alphabet & {"/"})]
    while position < len(pattern):
        character, position = pattern[position], position + 1
        if character in "*?":
            found.append(Token(inside, is_run=character == "*"))
        elif character == "[":
            read = _class(pattern, position)
            if read is None:
                return None
            (is_negated, members), position = read
            # Unlike `?`, a negated class of path.Match does match a slash.
            found.append(Token(alphabet - members if is_negated else alphabet & members))
        elif character == ACCOUNT_MARK:
            found.append(THE_ACCOUNT)
        else:
            if character == "\\":
                if position == len(pattern):
                    return None
                character, position = pattern[position], position + 1
            found.append(Token(alphabet & {character}))
    if any(token.is_run for token in found) and any("/" in (t.characters or ()) for t in found if t not in slash):
        # path.Match does not go back to an earlier *, by which it may miss a match.
        raise UnsupportedError("a class that matches / besides a *: name the characters of the class")
    return tuple(found)


def _class(pattern: str, position: int) -> tuple[tuple[bool, frozenset[str]], int] | None:
    """Return whether it is negated, its characters, and the position behind its bracket."""
    is_negated = pattern[position : position + 1] == "^"
    position += is_negated
    members: set[str] = set()
    is_empty = True
    while pattern[position : position + 1] != "]" or is_empty:
        ends = []
        for _ in range(2):
            if pattern[position : position + 1] == "\\":
                position += 1
            elif pattern[position : position + 1] in {"", "-", "]"}:
                return None
            if position >= len(pattern) - 1:
                return None
            ends.append(ord(pattern[position]))
            position += 1
            if len(ends) == 2 or pattern[position] != "-":
                break
            position += 1
        members |= set(map(chr, range(ends[0], min(ends[-1], 0x7F) + 1)))
        is_empty = False
    return (is_negated, frozenset(members)), position + 1


def matches(tokens: Tokens, text: str) -> bool:
    """Tell whether the tokens, without the name of an account, match the whole `text`."""
    reached = _beyond_runs(tokens, {0})
    for character in text:
        inside = [at for at in reached if at < len(tokens) and character in (tokens[at].characters or ())]
        reached = _beyond_runs(tokens, {at if tokens[at].is_run else at + 1 for at in inside})
    return len(tokens) in reached


def _beyond_runs(tokens: Tokens, reached: set[int]) -> set[int]:
    for position in sorted(reached):
        while position < len(tokens) and tokens[position].is_run:
            position += 1  # noqa: PLW2901 - walks on from where it is
            reached.add(position)
    return reached


def simplified(tokens: Tokens, alphabet: frozenset[str]) -> Tokens | None:
    """Return shorter tokens that match the same names, none of which is empty; None: they match none."""
    found: list[Token] = []
    for token in tokens:
        last = found[-1] if found and found[-1].is_run else None
        if token.characters is None or last is None or last.characters is None:
            found.append(token)
        elif token.is_run and token.characters <= last.characters:
            continue
        elif token.is_run and token.characters >= last.characters:
            found[-1] = token
        elif token.characters == last.characters:
            # Of equal characters, the single ones come first: runs behind them meet.
            found.insert(-1, token)
        else:
            found.append(token)
    if any(token.characters is not None and not token.characters and not token.is_run for token in found):
        return None
    found = [token for token in found if token.characters is None or token.characters]
    at_least_one = [Token(alphabet), Token(alphabet, is_run=True)]
    return (at_least_one[1],) if found == at_least_one else tuple(found)


def written(tokens: Tokens, alphabet: frozenset[str]) -> str:
    """Return the pattern of a rule; "" only for no tokens."""
    return "".join(_written(tokens, alphabet))


def _written(tokens: Tokens, alphabet: frozenset[str]) -> Iterator[str]:
    for token in tokens:
        if token.characters is None:
            yield ACCOUNT
        elif token.characters >= alphabet:
            yield "*" if token.is_run else "?"
        elif len(token.characters) == 1 and not token.is_run:
            yield from token.characters
        else:
            others = alphabet - token.characters
            members = f"!{_ranges(others)}" if len(others) < len(token.characters) else _ranges(token.characters)
            yield f"*([{members}])" if token.is_run else f"[{members}]"


def _ranges(characters: Iterable[str]) -> str:
    """Return the members of a set: ranges of at least three, and the dash at the end."""
    runs: list[list[str]] = []
    for character in sorted(set(characters) - {"-"}):
        if runs and ord(character) == ord(runs[-1][-1]) + 1:
            runs[-1].append(character)
        else:
            runs.append([character])
    shown = (f"{run[0]}-{run[-1]}" if len(run) > 2 else "".join(run) for run in runs)
    return "".join(shown) + ("-" if "-" in characters else "")
