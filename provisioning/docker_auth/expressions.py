"""Regular expressions of Go (RE2) as alternatives of tokens: those without a counterpart are refused.

Alternations and optional parts are expanded. A repetition without an end is one of a single character; `^` and `$` are
at the ends of an alternative.
"""

import re
import string
from itertools import product

from provisioning.docker_auth.patterns import ACCOUNT_MARK, THE_ACCOUNT, Token, Tokens, UnsupportedError

MAX_ALTERNATIVES = 64
_MAX_TOKENS = 250
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_DIGITS = frozenset(string.digits)
_SPACES = frozenset("\t\n\f\r ")
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACES}
_POSIX = {
    "alnum": frozenset(string.ascii_letters + string.digits),
    "alpha": frozenset(string.ascii_letters),
    "digit": _DIGITS,
    "lower": frozenset(string.ascii_lowercase),
    "upper": frozenset(string.ascii_uppercase),
    "word": _WORD,
}
_BEGIN, _END = Token(frozenset("\ue001")), Token(frozenset("\ue002"))
_MAX_REPEAT = 1000
_REPEAT = re.compile(r"\{(\d+)(,(\d+)?)?\}", re.ASCII)
_GROUP = re.compile(r"\((?:\?(?::|P?<[A-Za-z_]\w*>))?", re.ASCII)

Alternatives = list[Tokens]


def of_expression(text: str, alphabet: frozenset[str]) -> Alternatives:
    """Return the tokens of each alternative, which match whole strings. Raises UnsupportedError."""
    reader = _Reader(text, alphabet)
    try:
        found = reader.alternation()
    except RecursionError as error:
        raise UnsupportedError("the expression is nested too deeply") from error
    if reader.rest:
        raise UnsupportedError("the expression has a ) too many")
    return [_whole(tokens, alphabet) for tokens in found]


def _whole(tokens: Tokens, alphabet: frozenset[str]) -> Tokens:
    """Return tokens for the whole string: a side without an anchor has any run."""
    run = Token(alphabet, is_run=True)
    begin = next((number for number, token in enumerate(tokens) if token is not _BEGIN), len(tokens))
    rest = tokens[begin:]
    end = next((number for number, token in enumerate(reversed(rest)) if token is not _END), len(rest))
    middle = rest[: len(rest) - end]
    if _BEGIN in middle or _END in middle:
        raise UnsupportedError("the expression has ^ or $ within it: write an entry for each of its alternatives")
    return (*(() if begin else (run,)), *middle, *(() if end else (run,)))


class _Reader:
    """Read an expression from left to right."""

    def __init__(self, text: str, alphabet: frozenset[str]) -> None:
        self.rest = text
        self._alphabet = alphabet

    def alternation(self) -> Alternatives:
        found = self._sequence()
        while self.rest.startswith("|"):
            self.rest = self.rest[1:]
            found = _limited([*found, *self._sequence()])
        return found

    def _sequence(self) -> Alternatives:
        found: Alternatives = [()]
        while self.rest and self.rest[0] not in "|)":
            found = _joined(found, self._repeated(self._atom()))
        return found

    def _atom(self) -> Alternatives:
        character = self._next()
        if character == "(":
            return self._group()
        if character in "*+?" or (character == "{" and _REPEAT.match("{" + self.rest)):
            raise UnsupportedError(
                f"the expression repeats nothing at {character!a}, with which docker_auth does not start"
            )
        simple = {"^": _BEGIN, "$": _END, ACCOUNT_MARK: THE_ACCOUNT, ".": Token(self._alphabet)}
        if character in simple:
            return [(simple[character],)]
        if character == "[":
            return [(Token(self._class()),)]
        if character == "\\":
            return [(self._escaped(),)]
        return [(Token(self._alphabet & {character}),)]

    def _next(self) -> str:
        if not self.rest:
            raise UnsupportedError("the expression ends too early, with which docker_auth does not start")
        character, self.rest = self.rest[0], self.rest[1:]
        return character

    def _group(self) -> Alternatives:
        begin = _GROUP.match("(" + self.rest)
        if begin is None or (self.rest.startswith("?") and begin[0] == "("):
            raise UnsupportedError("the expression has a flag as (?i): write the characters that it stands for")
        self.rest = self.rest[len(begin[0]) - 1 :]
        found = self.alternation()
        if not self.rest or self._next() != ")":
            raise UnsupportedError("the expression has a ( without a ), with which docker_auth does not start")
        singles = [tokens[0] for tokens in found if len(tokens) == 1 and _is_single(tokens[0])]
        if len(singles) == len(found):
            return [(Token(frozenset().union(*(token.characters or () for token in singles))),)]
        return found

    def _escaped(self) -> Token:
        character = self._next()
        if character in "Az":
            return _BEGIN if character == "A" else _END
        return Token(self._alphabet & self._escaped_characters(character))

    def _escaped_characters(self, character: str) -> frozenset[str]:
        if character.lower() in _CLASSES:
            members = _CLASSES[character.lower()]
            return members if character.islower() else self._alphabet - members
        if character.isalnum() or not character.isascii():
            raise UnsupportedError(f"the expression has \\{character}: write the characters that it stands for")
        return frozenset(character)

    def _class(self) -> frozenset[str]:
        is_negated = self.rest.startswith("^")
        self.rest = self.rest[is_negated:]
        members: set[str] = set()
        is_first = True
        while not self.rest.startswith("]") or is_first:
            is_first = False
            low = self._member()
            if self.rest.startswith("-") and self.rest[1:2] not in {"]", ""}:
                self.rest = self.rest[1:]
                high = self._member()
                if len(low) != 1 or len(high) != 1 or low > high:
                    raise UnsupportedError("the expression has a range that runs backwards")
                members |= set(map(chr, range(ord(low), min(ord(high), 0x7F) + 1)))
            else:
                members |= set(low)
        self.rest = self.rest[1:]
        return self._alphabet - members if is_negated else self._alphabet & members

    def _member(self) -> str:
        """Return a character of a class, or all of a class within it."""
        posix = re.match(r"\[:(\^?)([a-z]+):\]", self.rest)
        if posix is not None and posix[2] in _POSIX:
            self.rest = self.rest[posix.end() :]
            members = _POSIX[posix[2]]
            return "".join(sorted(self._alphabet - members if posix[1] else members))
        if self.rest[:2] in {"[:", "[.", "[="}:
            text = posix[0] if posix else self.rest[:2]
            raise UnsupportedError(f"the expression has {text} within [ ]: write the characters that it stands for")
        character = self._next()
        if character == ACCOUNT_MARK:
            raise UnsupportedError("the expression has the account's name within [ ]")
        return "".join(sorted(self._escaped_characters(self._next()))) if character == "\\" else character

    def _repeated(self, atom: Alternatives) -> Alternatives:
        low, high = self._bounds()
        if (low, high) == (1, 1):
            return atom
        if atom in ([(_BEGIN,)], [(_END,)], [(THE_ACCOUNT,)]):
            raise UnsupportedError("the expression repeats ^, $ or the name of the account")
        found: Alternatives = [()]
        for _ in range(low):
            found = _joined(found, atom)
        if high is None:
            if len(atom) != 1 or len(atom[0]) != 1 or not _is_single(atom[0][0]):
                raise UnsupportedError("the expression repeats more than one character: a rule repeats single ones")
            return _joined(found, [(Token(atom[0][0].characters, is_run=True),)])
        all_found = list(found)
        for _ in range(high - low):
            found = _joined(found, atom)
            all_found = _limited([*all_found, *found])
        return all_found

    def _bounds(self) -> tuple[int, int | None]:
        """Return how often the last atom is repeated; None: without an end."""
        repeat = _REPEAT.match(self.rest)
        if repeat is not None:
            low = _number(repeat[1])
            high = low if repeat[2] is None else _number(repeat[3]) if repeat[3] else None
            self.rest = self.rest[repeat.end() :]
            if high is not None and high < low:
                raise UnsupportedError("the expression has a repetition that runs backwards")
        elif self.rest[:1] in {"*", "+", "?"}:
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self._next()]
        else:
            return 1, 1
        # A lazy repetition matches the same strings.
        self.rest = self.rest.removeprefix("?")
        if self.rest[:1] in {"*", "+", "?"} or _REPEAT.match(self.rest):
            raise UnsupportedError("the expression repeats a repetition, with which docker_auth does not start")
        return low, high


def _number(digits: str) -> int:
    """Return how often something is repeated. Raises UnsupportedError."""
    if digits != "0" and digits.startswith("0"):
        raise UnsupportedError("the expression has a number with a zero before it in { }: leave the zero out")
    if len(digits) > len(str(_MAX_REPEAT)) or int(digits) > _MAX_REPEAT:
        raise UnsupportedError(f"the expression repeats more than {_MAX_REPEAT} times, which docker_auth refuses too")
    return int(digits)


def _is_single(token: Token) -> bool:
    return not token.is_run and token is not THE_ACCOUNT and token is not _BEGIN and token is not _END


def _joined(first: Alternatives, second: Alternatives) -> Alternatives:
    if len(first) * len(second) > MAX_ALTERNATIVES:
        return _limited(first * len(second))
    return _limited([one + other for one, other in product(first, second)])


def _limited(found: Alternatives) -> Alternatives:
    if len(found) > MAX_ALTERNATIVES or any(len(tokens) > _MAX_TOKENS for tokens in found):
        raise UnsupportedError(f"the expression has more than {MAX_ALTERNATIVES} alternatives: write several entries")
    return found
