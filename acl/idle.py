"""Rules that can do nothing, which their author did not mean: no such account, no such name, or allowed already."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from acl.coverage import account_covers, matches_some_name, name_covers, work_of
from acl.glob import ACCOUNT, compile_glob, for_account, is_literal, literal_prefix

# Of rules that begin alike, and of patterns of accounts, so many are looked at for one that allows the same.
_MAX_LOOKED_AT = 20
# Characters that are compared, in all: some seconds, and far more than the rules of a busy registry need.
MAX_WORK = 20_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule; `label` is how another one's warning names it, and `actions` are concrete."""

    subject_kind: str
    subject: str
    name: str
    actions: frozenset[str]
    label: str

    @property
    def has_account_pattern(self) -> bool:
        """Tell whether it is about the accounts that match."""
        return self.subject_kind == "account" and not is_literal(self.subject)


class _TooMuchWorkError(Exception):
    """The rules are too many and too alike for all to be compared."""


Subject = tuple[str, str]
_EVERYBODY: Subject = ("anonymous", "")


class Rules:
    """Rules to be looked through together, with the names of all accounts and groups."""

    def __init__(self, rules: Sequence[Candidate], accounts: Collection[str], groups: Collection[str]) -> None:
        self._rules = rules
        self._accounts = accounts
        self._groups = groups
        self._wider: dict[Subject, list[Subject]] = {}
        self._work_left = MAX_WORK

    @property
    def is_exhausted(self) -> bool:
        """Tell whether MAX_WORK was not enough for what was asked; then no more reasons are found."""
        return self._work_left < 0

    def reasons(self) -> Iterator[tuple[int, str]]:
        """Yield the position of each rule that can do nothing, and why."""
        for position in range(len(self._rules)):
            reason = self.reason(position)
            if reason is not None:
                yield position, reason

    def reason(self, position: int) -> str | None:
        """Return why the rule at `position` can do nothing, None when it can or there was no work left to find out."""
        rule = self._rules[position]
        try:
            return self._unknown(rule) or self._impossible(rule) or self._contained(position, rule)
        except _TooMuchWorkError:
            return None

    def _spend(self, work: int) -> None:
        self._work_left -= work
        if self._work_left < 0:
            raise _TooMuchWorkError

    def _unknown(self, rule: Candidate) -> str | None:
        if rule.subject_kind == "group" and rule.subject not in self._groups:
            return f"there is no group {rule.subject}"
        if rule.subject_kind != "account" or rule.subject in self._accounts:
            return None
        if not rule.has_account_pattern:
            return f"there is no account {rule.subject}"
        return None if self._is_about_somebody(rule.subject) else f"no account's name matches {rule.subject}"

    def _is_about_somebody(self, pattern: str) -> bool:
        if pattern == "*":
            return True
        matches = compile_glob(pattern)
        for account in self._accounts:
            self._spend(len(pattern))
            if matches(account):
                return True
        return False

    def _contained(self, position: int, rule: Candidate) -> str | None:
        for other in self._alike(rule):
            wider = self._rules[other]
            if other == position or not self._allows_all_of(wider, rule):
                continue
            if other > position and self._is_as_wide(rule, wider):
                # Of two that allow the same, the later one is not needed.
                continue
            return f"{wider.label} allows all of it"
        return None

    def _is_as_wide(self, rule: Candidate, other: Candidate) -> bool:
        subject = rule.subject_kind, rule.subject
        return subject in self._subjects_around(other) and self._allows_all_of(rule, other)

    def _alike(self, rule: Candidate) -> Iterator[int]:
        """Yield the rules about the same accounts or more, whose pattern begins as the name of `rule` does."""
        for subject in self._subjects_around(rule):
            for end in range(len(rule.name) + 1):
                yield from islice(self._by_beginning.get((subject, rule.name[:end]), ()), _MAX_LOOKED_AT)

    def _subjects_around(self, rule: Candidate) -> list[Subject]:
        subject = rule.subject_kind, rule.subject
        if subject not in self._wider:
            self._wider[subject] = list(self._wider_subjects(*subject))
        return self._wider[subject]

    def _wider_subjects(self, kind: str, name: str) -> Iterator[Subject]:
        yield kind, name
        if kind == "anonymous":
            return
        yield _EVERYBODY
        for pattern in self._account_patterns:
            self._spend(work_of(pattern, name))
            is_wider = pattern == "*" if kind == "group" else account_covers(pattern, name)
            if is_wider and pattern != name:
                yield "account", pattern

    def _allows_all_of(self, wider: Candidate, rule: Candidate) -> bool:
        if not wider.actions >= rule.actions:
            return False
        self._spend(work_of(wider.name, rule.name))
        return name_covers(wider.name, rule.name)

    def _impossible(self, rule: Candidate) -> str | None:
        name = rule.name
        if ACCOUNT in name and rule.subject_kind == "account" and not rule.has_account_pattern:
            name = for_account(name, rule.subject)
        self._spend(len(name))
        if matches_some_name(name):
            return None
        hint = "; ! means something within [ ] only" if "!" in name and "[!" not in name else ""
        return f"no repository can be called {name}{hint}"

    @cached_property
    def _account_patterns(self) -> list[str]:
        patterns = dict.fromkeys(rule.subject for rule in self._rules if rule.has_account_pattern)
        return list(islice(patterns, _MAX_LOOKED_AT))

    @cached_property
    def _by_beginning(self) -> dict[tuple[Subject, str], list[int]]:
        found: dict[tuple[Subject, str], list[int]] = {}
        for position, rule in enumerate(self._rules):
            key = (rule.subject_kind, rule.subject), literal_prefix(rule.name)
            found.setdefault(key, []).append(position)
        return found
