"""Match rules, compiled once per rights epoch; no database here.

A request is granted the union of what the matching rules allow. No match, nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from accounts.identity import Identity
from acl import actions as action_list
from acl.glob import compile_glob
from acl.name_range import NameRange, ranges_of


class RuleRow(Protocol):
    """What a rule is made of: `acl.models.Rule`, or an entry of a configuration file."""

    subject_kind: str
    subject: str
    name: str
    actions: str


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule, ready to be asked."""

    applies_to: Callable[[Identity], bool]
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
class CompiledRules:
    """Every rule of one moment."""

    rules: tuple[CompiledRule, ...]

    def of(self, identity: Identity) -> IdentityRules:
        """Return the rules that apply to `identity`."""
        return IdentityRules(tuple(rule for rule in self.rules if rule.applies_to(identity)))


def compile_rules(rows: Iterable[RuleRow]) -> CompiledRules:
    """Compile `rows`. Raises InvalidPatternError for a pattern that can't be matched."""
    return CompiledRules(tuple(_compile(row) for row in rows))


def _compile(row: RuleRow) -> CompiledRule:
    text = f"{row.subject_kind} {row.subject or '-'} {row.actions} {row.name}"
    allowed = action_list.expand(row.actions.split(","))
    return CompiledRule(_subject_test(row), row.name, compile_glob(row.name), allowed, text)


def _subject_test(row: RuleRow) -> Callable[[Identity], bool]:
    if row.subject_kind == "anonymous":
        return lambda _: True
    if row.subject_kind == "group":
        group = row.subject
        return lambda identity: group in identity.groups
    matches = compile_glob(row.subject)
    # The empty name of an anonymous identity would match `*`, which is everyone signed in.
    return lambda identity: not identity.is_anonymous and matches(identity.name)
