"""Match rules, compiled once per permissions version; no database here.

A request is granted the union of what the matching rules allow. No match, nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from accounts.identity import Identity
from acl import actions as action_list
from acl.glob import ACCOUNT, check_glob, compile_glob, for_account
from acl.name_range import NameRange, ranges_of


class RuleRow(Protocol):
    """What a rule is made of: `acl.models.Rule`, or an entry of a configuration file."""

    subject_kind: str
    subject: str
    name: str
    actions: str


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule that applies to an identity, ready to be asked; `pattern` has its name for `${account}`."""

    pattern: str
    matches: Callable[[str], bool]
    actions: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules that apply to one identity."""

    rules: tuple[CompiledRule, ...]

    def actions_on(self, name: str) -> frozenset[str]:
        """Return the concrete actions allowed on the repository called `name`."""
        allowed: frozenset[str] = frozenset()
        for rule in self.rules:
            if not rule.actions <= allowed and rule.matches(name):
                allowed |= rule.actions
        return allowed

    def ranges(self, action: str) -> tuple[NameRange, ...]:
        """Return the ranges that hold every name on which `action` is allowed, and others too."""
        return ranges_of(rule.pattern for rule in self.rules if action in rule.actions)

    def matching(self, name: str) -> list[str]:
        """Return the texts of the rules that match the repository called `name`."""
        return [rule.text for rule in self.rules if rule.matches(name)]


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """One rule, and the test whom it is about. Its pattern is compiled for those only: there may be thousands."""

    applies_to: Callable[[Identity], bool]
    pattern: str
    actions: frozenset[str]
    text: str

    def of(self, identity: Identity) -> CompiledRule:
        """Return the rule as it is for `identity`."""
        if ACCOUNT not in self.pattern:
            return CompiledRule(self.pattern, _matcher(self.pattern), self.actions, self.text)
        pattern, matches = for_account(self.pattern, identity.name), compile_glob(self.pattern, identity.name)
        return CompiledRule(pattern, matches, self.actions, self.text)


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Every rule of one moment."""

    rules: tuple[SubjectRule, ...]

    def of(self, identity: Identity) -> IdentityRules:
        """Return the rules that apply to `identity`."""
        return IdentityRules(tuple(rule.of(identity) for rule in self.rules if rule.applies_to(identity)))


def compile_rules(rows: Iterable[RuleRow]) -> CompiledRules:
    """Compile `rows`. Raises InvalidPatternError for a pattern that can't be matched."""
    return CompiledRules(tuple(_compile(row) for row in rows))


_matcher = lru_cache(maxsize=10_000)(compile_glob)


def _compile(row: RuleRow) -> SubjectRule:
    check_glob(row.name)
    text = f"{row.subject_kind} {row.subject or '-'} {row.actions} {row.name}"
    allowed = action_list.expand(row.actions.split(","))
    return SubjectRule(_subject_test(row), row.name, allowed, text)


def _subject_test(row: RuleRow) -> Callable[[Identity], bool]:
    if row.subject_kind == "anonymous":
        # Nobody signed in has a name, and what a rule for everybody allows can't depend on one.
        return (lambda _: False) if ACCOUNT in row.name else (lambda _: True)
    if row.subject_kind == "group":
        group = row.subject
        return lambda identity: group in identity.groups
    matches = compile_glob(row.subject)
    # The empty name of an anonymous identity would match `*`, which is everyone signed in.
    return lambda identity: not identity.is_anonymous and matches(identity.name)
