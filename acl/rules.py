"""Match compiled rules, without a database.

The allowed actions are the union over all matching rules; without a match there are none.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Protocol

from accounts.identity import Identity
from acl import actions as action_list
from acl.glob import ACCOUNT, check_glob, compile_glob, for_account, is_literal
from acl.name_range import NameRange, ranges_of


class RuleRow(Protocol):
    """The fields of `acl.models.Rule`, or of an entry of the configuration file."""

    subject_kind: str
    subject: str
    name: str
    actions: str


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule for one identity; `pattern` has its name in place of `${account}`, `text` is its sentence."""

    pattern: str
    matches: Callable[[str], bool]
    actions: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class CompiledScope:
    """A scope of an access token."""

    matches: Callable[[str], bool]
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules that apply to one identity."""

    rules: tuple[CompiledRule, ...]
    scopes: tuple[CompiledScope, ...] = ()
    """Those of the identity's access token; without any it limits nothing."""

    def actions_on(self, name: str) -> frozenset[str]:
        """Return the concrete actions allowed on the repository `name`."""
        allowed = self.unlimited_actions_on(name)
        if not self.scopes:
            return allowed
        return allowed & frozenset(chain.from_iterable(scope.actions for scope in self.scopes if scope.matches(name)))

    def unlimited_actions_on(self, name: str) -> frozenset[str]:
        """Return what the rules allow, whatever the scopes of an access token."""
        allowed: frozenset[str] = frozenset()
        for rule in self.rules:
            if not rule.actions <= allowed and rule.matches(name):
                allowed |= rule.actions
        return allowed

    def allows(self, action: str) -> Callable[[str], bool]:
        """Return a function that tells whether `action` is allowed on a repository, for many names."""
        if self.scopes:
            return lambda name: action in self.actions_on(name)
        matchers = [rule.matches for rule in self.rules if action in rule.actions]
        return lambda name: any(matches(name) for matches in matchers)

    def ranges(self, action: str) -> tuple[NameRange, ...]:
        """Return ranges that contain every name on which `action` is allowed, and possibly others."""
        found = ranges_of(rule.pattern for rule in self.rules if action in rule.actions)
        # Not all names that a rule allows are those of a scope.
        return tuple(replace(one, is_whole=False) for one in found) if self.scopes else found

    def matching(self, name: str) -> list[str]:
        """Return the rules that match the repository `name`, as strings."""
        return [rule.text for rule in self.rules if rule.matches(name)]


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """A rule with the predicate of its subject; its pattern is compiled only for matching identities."""

    applies_to: Callable[[Identity], bool]
    group: str | None
    pattern: str
    actions: frozenset[str]
    text: str


matcher = lru_cache(maxsize=10_000)(compile_glob)


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """All rules of one permissions version."""

    rules: tuple[SubjectRule, ...]

    def of(self, identity: Identity) -> IdentityRules:
        """Return the rules that apply to `identity`."""
        found = []
        for rule in self.rules:
            if not rule.applies_to(identity):
                continue
            pattern = rule.pattern
            if ACCOUNT in pattern:
                pattern, matches = for_account(pattern, identity.name), compile_glob(pattern, identity.name)
            else:
                matches = matcher(pattern)
            found.append(CompiledRule(pattern, matches, rule.actions, rule.text))
        limit = identity.limit.scopes if identity.limit is not None else ()
        scopes = (CompiledScope(matcher(pattern), action_list.expand(actions)) for pattern, actions in limit)
        return IdentityRules(tuple(found), tuple(scopes))


def compile_rules(rows: Iterable[RuleRow]) -> CompiledRules:
    """Compile `rows`. Raises InvalidPatternError."""
    compiled = []
    for row in rows:
        check_glob(row.name)
        actions = action_list.expand(row.actions.split(","))
        group = row.subject if row.subject_kind == "group" else None
        compiled.append(SubjectRule(_subject_test(row), group, row.name, actions, sentence(row)))
    return CompiledRules(tuple(compiled))


def sentence(rule: RuleRow) -> str:
    """Return a rule as a sentence: `bob may pull alice/*`."""
    if rule.subject_kind == "anonymous":
        who = "everybody"
    elif rule.subject_kind == "group":
        who = f"the group {rule.subject}"
    elif rule.subject == "*":
        who = "everyone signed in"
    else:
        who = rule.subject if is_literal(rule.subject) else f"an account like {rule.subject}"
    actions = action_list.expand(rule.actions.split(","))
    # An invalid rule has a sentence too.
    return f"{who} may {listed(actions) if actions else repr(rule.actions)} {rule.name}"


def listed(actions: Iterable[str], last: str = "and") -> str:
    """Return actions as a list of words: `pull, push and delete`."""
    wanted = set(actions)
    *words, end = [action for action in action_list.ALL if action in wanted]
    return f"{', '.join(words)} {last} {end}" if words else end


def _subject_test(row: RuleRow) -> Callable[[Identity], bool]:
    if row.subject_kind == "anonymous":
        # A rule for everybody can't depend on an account's name.
        return (lambda _: False) if ACCOUNT in row.name else (lambda _: True)
    if row.subject_kind == "group":
        group = row.subject
        return lambda identity: group in identity.groups
    matches = compile_glob(row.subject)
    # `*` means every account, but would match the empty name of the anonymous identity, and those of workloads.
    return lambda identity: identity.has_account and matches(identity.name)
