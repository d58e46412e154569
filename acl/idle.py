"""Rules without effect: an unknown subject, an impossible name, or a redundant rule."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from acl import networks
from acl.actions import PULL
from acl.coverage import account_covers, matches_some_name, name_covers, tag_covers, work_of
from acl.glob import compile_glob, for_requester, is_literal, literal_prefix
from acl.networks import Network
from acl.until import until_text

# A rule is compared with at most so many rules of each prefix, and so many account patterns.
_MAX_COMPARED = 20
# Compared characters in total: some seconds, far more than a busy registry needs.
MAX_WORK = 20_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule with concrete actions; `label` names it in the warning about another rule."""

    subject_kind: str
    subject: str
    name: str
    actions: frozenset[str]
    label: str
    is_deny: bool = False
    tags: str = ""
    networks: tuple[Network, ...] = ()
    until: datetime | None = None
    order: int | None = None

    @property
    def has_account_pattern(self) -> bool:
        return self.subject_kind == "account" and not is_literal(self.subject)


class _TooMuchWorkError(Exception):
    """MAX_WORK is used up."""


Subject = tuple[str, str]
_EVERYBODY: Subject = ("anonymous", "")


class Rules:
    """Rules to compare with each other and with the names of all accounts and groups."""

    def __init__(self, rules: Sequence[Candidate], accounts: Collection[str], groups: Collection[str]) -> None:
        self._rules = rules
        self._accounts = accounts
        self._groups = groups
        self._work_left = MAX_WORK
        self._now = datetime.fromtimestamp(time.time(), UTC)
        account_patterns = dict.fromkeys(rule.subject for rule in rules if rule.has_account_pattern)
        self._account_patterns = list(islice(account_patterns, _MAX_COMPARED))
        self._by_prefix: dict[tuple[Subject, str], list[int]] = {}
        for position, rule in enumerate(rules):
            key = (rule.subject_kind, rule.subject), literal_prefix(rule.name)
            self._by_prefix.setdefault(key, []).append(position)
        self._wider: dict[Subject, list[Subject]] = {}

    @property
    def is_exhausted(self) -> bool:
        """Tell whether MAX_WORK is used up: then no more reasons are found."""
        return self._work_left < 0

    def reasons(self) -> Iterator[tuple[int, str]]:
        """Yield the position of each rule without effect, and why."""
        for position in range(len(self._rules)):
            if (reason := self.reason(position)) is not None:
                yield position, reason

    def reason(self, position: int) -> str | None:
        """Return why the rule at `position` has no effect, None if it has one or MAX_WORK is used up."""
        rule = self._rules[position]
        if rule.until is not None and rule.until <= self._now:
            return f"it has ended ({until_text(rule.until)})"
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
        if rule.subject == "*":
            return None
        matches = compile_glob(rule.subject)
        for account in self._accounts:
            self._spend(len(rule.subject))
            if matches(account):
                return None
        return f"no account's name matches {rule.subject}"

    def _contained(self, position: int, rule: Candidate) -> str | None:
        for other in self._with_same_prefix(rule):
            wider = self._rules[other]
            if rule.order is not None or wider.order is not None:
                if self._comes_first(wider, rule):
                    return f"{wider.label} comes first"
                continue
            if other == position or (rule.is_deny and not wider.is_deny) or not self._covers_all_of(wider, rule):
                continue
            if wider.is_deny and not rule.is_deny:
                return f"{wider.label} denies all of it"
            subject = rule.subject_kind, rule.subject
            if other > position and subject in self._subjects_around(wider) and self._covers_all_of(rule, wider):
                # Of two equal rules, the later one is redundant.
                continue
            return f"{wider.label} {'denies' if rule.is_deny else 'allows'} all of it"
        return None

    def _comes_first(self, wider: Candidate, rule: Candidate) -> bool:
        if rule.order is None or wider.order is None or wider.order >= rule.order:
            return False
        return self._covers_all_of(wider, rule)

    def _with_same_prefix(self, rule: Candidate) -> Iterator[int]:
        """Yield the rules for the same or more accounts whose literal prefix is a prefix of `rule`'s name."""
        for subject in self._subjects_around(rule):
            for end in range(len(rule.name) + 1):
                yield from islice(self._by_prefix.get((subject, rule.name[:end]), ()), _MAX_COMPARED)

    def _subjects_around(self, rule: Candidate) -> list[Subject]:
        """Return the subject of `rule` and those that include all its accounts."""
        kind, name = subject = rule.subject_kind, rule.subject
        if subject in self._wider:
            return self._wider[subject]
        found = [subject]
        if kind != "anonymous":
            found.append(_EVERYBODY)
            for pattern in self._account_patterns:
                self._spend(work_of(pattern, name))
                is_wider = pattern == "*" if kind == "group" else account_covers(pattern, name)
                if is_wider and pattern != name:
                    found.append(("account", pattern))
        self._wider[subject] = found
        return found

    def _covers_all_of(self, wider: Candidate, rule: Candidate) -> bool:
        """Tell whether `wider`, for the same or more accounts, is about all that `rule` is about."""
        # The first in order decides about every action.
        if (rule.order is None and not wider.actions >= rule.actions) or not _lasts(wider, rule, self._now):
            return False
        if not networks.covers(wider.networks, rule.networks) or not self._covers_tags(wider, rule):
            return False
        self._spend(work_of(wider.name, rule.name))
        return name_covers(wider.name, rule.name)

    def _covers_tags(self, wider: Candidate, rule: Candidate) -> bool:
        # A pull is never limited by tags. Whoever may push some tags only may push blobs, too: denied tags are not all.
        if not wider.tags or rule.actions == {PULL}:
            return True
        if not rule.tags or wider.is_deny is not rule.is_deny:
            return False
        self._spend(work_of(wider.tags, rule.tags))
        return tag_covers(wider.tags, rule.tags)

    def _impossible(self, rule: Candidate) -> str | None:
        name = rule.name
        if rule.subject_kind == "account" and not rule.has_account_pattern:
            name = for_requester(name, rule.subject)
        elif rule.subject_kind == "group":
            name = for_requester(name, group=rule.subject)
        self._spend(len(name))
        if matches_some_name(name):
            return None
        hint = "; ! means something within [ ] only" if "!" in name and "[!" not in name else ""
        return f"no repository can be called {name}{hint}"


def _lasts(wider: Candidate, rule: Candidate, now: datetime) -> bool:
    """Tell whether `wider` is in force as long as `rule` is."""
    if wider.until is None:
        return True
    return now < wider.until and rule.until is not None and rule.until <= wider.until
