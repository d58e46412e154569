"""What a rule does now: its sentence, warnings, and the accounts and repositories that match."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from django.contrib.auth.models import Group
from django.db.models import QuerySet

from accounts.models import Account
from acl import actions as action_list
from acl import idle
from acl.glob import ACCOUNT, GROUP, compile_glob, is_literal, literal_prefix
from acl.models import Rule, SubjectKind
from acl.networks import InvalidNetworkError, parse_networks
from distribution import deletion
from distribution.models import Repository

LISTED = 20

MAX_OWNERS = 200

MAX_READ = 10_000
"""How many names are compared with a pattern; a count beyond it is a lower bound."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The first names that match, and their number; not `is_exact` beyond MAX_READ names."""

    names: tuple[str, ...]
    total: int
    is_exact: bool = True

    @property
    def count(self) -> str:
        """The number in words: `none`, `2`, `the first 20 of 35`, `the first 20 of at least 35`."""
        if self.total <= len(self.names):
            return (str(self.total) if self.total else "none") + ("" if self.is_exact else ", as far as they were read")
        return f"the first {len(self.names)} of {'' if self.is_exact else 'at least '}{self.total}"


@dataclass(frozen=True, slots=True)
class Preview:
    """A valid rule, with the reason why it has no effect, "" if it has one."""

    sentence: str
    warning: str
    accounts: Matches
    repositories: Matches
    is_for_everybody: bool
    is_of_account: bool

    @classmethod
    def of(cls, rule: Rule) -> Preview:
        """Return the preview of `rule`, saved or not."""
        accounts = _accounts(rule)
        return cls(
            str(rule),
            idle_reason(rule),
            accounts,
            _repositories(rule, accounts),
            rule.subject_kind == SubjectKind.ANONYMOUS,
            ACCOUNT in rule.name or GROUP in rule.name,
        )


def idle_reason(rule: Rule) -> str:
    """Return why `rule`, saved or not, has no effect: it names nobody, matches no name, or another rule contains it."""
    # The rule comes last, so that of two equal rules it is the redundant one.
    rules = [*Rule.objects.exclude(pk=rule.pk), rule]
    return _compared(rules).reason(len(rules) - 1) or ""


def idle_reasons(shown: Iterable[Rule]) -> dict[int, str]:
    """Return the reasons of those of the `shown` rules without effect, by primary key."""
    rules = list(Rule.objects.order_by("pk"))
    compared, position = _compared(rules), {rule.pk: number for number, rule in enumerate(rules)}
    reasons = {rule.pk: compared.reason(position[rule.pk]) for rule in shown if rule.pk in position}
    return {pk: reason for pk, reason in reasons.items() if reason}


def _compared(rules: list[Rule]) -> idle.Rules:
    accounts = set(Account.objects.values_list("name", flat=True))
    groups = set(Group.objects.values_list("name", flat=True))
    return idle.Rules([_candidate(rule) for rule in rules], accounts, groups)


def _candidate(rule: Rule) -> idle.Candidate:
    actions = action_list.expand(rule.actions.split(","))
    try:
        networks = parse_networks(rule.networks)
    except InvalidNetworkError:
        # Such a rule allows nothing, and denies everywhere.
        networks = ()
    label, conditions = f'the rule "{rule}"', (rule.is_deny, rule.tags, networks, rule.until, rule.order)
    return idle.Candidate(rule.subject_kind, rule.subject, rule.name, actions, label, *conditions)


def _accounts(rule: Rule) -> Matches:
    rows = Account.objects.filter(is_active=True).order_by("name")
    if rule.subject_kind == SubjectKind.GROUP:
        return _all(rows.filter(groups__name=rule.subject))
    if rule.subject_kind == SubjectKind.ANONYMOUS or rule.subject == "*":
        return _all(rows)
    if is_literal(rule.subject):
        return _all(rows.filter(name=rule.subject))
    return _matching(rows.filter(name__startswith=literal_prefix(rule.subject)), compile_glob(rule.subject))


def _repositories(rule: Rule, accounts: Matches) -> Matches:
    rows = deletion.without_hidden(Repository.objects.all()).order_by("name")
    if ACCOUNT in rule.name or GROUP in rule.name:
        # Each account has its own: those of the accounts that are shown.
        globs = [compile_glob(rule.name, name, group) for name, group in _owners(rule, accounts)]
        prefix = literal_prefix(rule.name.partition("${")[0])
        return _matching(rows.filter(name__startswith=prefix), lambda name: any(matches(name) for matches in globs))
    if rule.name == "*":
        return _all(rows)
    if is_literal(rule.name):
        return _all(rows.filter(name=rule.name))
    return _matching(rows.filter(name__startswith=literal_prefix(rule.name)), compile_glob(rule.name))


def repositories_of(globs: str, holds_for: Callable[[str], bool]) -> Matches:
    """Return the repositories that a policy with these globs holds for."""
    rows = deletion.without_hidden(Repository.objects.all()).order_by("name")
    prefix = "" if " " in globs else literal_prefix(globs)
    return _matching(rows.filter(name__startswith=prefix), holds_for)


def _owners(rule: Rule, accounts: Matches) -> list[tuple[str, str | None]]:
    """Return the accounts that are shown, with each of their groups if the rule is about these."""
    if GROUP not in rule.name:
        return [(name, None) for name in accounts.names]
    if rule.subject_kind == SubjectKind.GROUP:
        return [(name, rule.subject) for name in accounts.names]
    rows = Account.objects.filter(name__in=accounts.names, groups__isnull=False)
    return list(rows.order_by("name").values_list("name", "groups__name")[:MAX_OWNERS])


def _all(rows: QuerySet[Account] | QuerySet[Repository]) -> Matches:
    return Matches(tuple(rows.values_list("name", flat=True)[:LISTED]), rows.count())


def _matching(rows: QuerySet[Account] | QuerySet[Repository], matches: Callable[[str], bool]) -> Matches:
    names: Iterable[str] = rows.values_list("name", flat=True)[: MAX_READ + 1].iterator()
    read = list(names)
    found = [name for name in read[:MAX_READ] if matches(name)]
    return Matches(tuple(islice(found, LISTED)), len(found), len(read) <= MAX_READ)
