"""Match compiled rules, without a database.

A rule that denies removes its actions, wherever it stands: what remains is the union of the rules that allow. Of the
rules with an order that match, those of the lowest number count alone (first match): they allow their actions, or with
deny nothing, and hold back all behind them. A rule
with tags limits pushes and deletions to these; a pull is never limited by tags, since a digest has none. A rule with
networks counts for clients there; of a client without a known address no such rule allows, and each denies.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Protocol

from accounts.identity import Identity
from acl import actions as action_list
from acl.glob import ACCOUNT, GROUP, check_glob, compile_glob, for_requester, is_literal
from acl.name_range import NameRange, ranges_of
from acl.names import could_be_part
from acl.networks import Network, containing, parse_networks
from acl.until import until_text


class RuleRow(Protocol):
    """The fields of `acl.models.Rule`."""

    subject_kind: str
    subject: str
    name: str
    actions: str
    is_deny: bool
    tags: str
    networks: str
    until: datetime | None
    order: int | None


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule for one identity; `patterns` have its name and groups in place of `${account}` and `${group}`.

    `tags` of None means every tag, and what has none. `text` is the sentence of the rule. With `order`, `is_deny` means
    that it allows nothing.
    """

    patterns: tuple[str, ...]
    matches: Callable[[str], bool]
    actions: frozenset[str]
    text: str
    tags: Callable[[str], bool] | None = None
    order: int | None = None
    is_deny: bool = False

    def covers(self, action: str, tag: str | None) -> bool:
        """Tell whether the rule is about `action` on a tag; None: on something without one."""
        return action in self.actions and (self.tags is None or (tag is not None and self.tags(tag)))


@dataclass(frozen=True, slots=True)
class CompiledScope:
    """A scope of an access token."""

    matches: Callable[[str], bool]
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class TagRefusal:
    """A tag for which an action is not allowed (None: there is none), and the rules because of which, as strings."""

    tag: str | None
    rules: tuple[str, ...]
    is_denied: bool = False


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules that apply to one identity: those that allow, and those that deny."""

    rules: tuple[CompiledRule, ...]
    scopes: tuple[CompiledScope, ...] = ()
    """Those of the identity's access token; without any it limits nothing."""
    denials: tuple[CompiledRule, ...] = ()
    has_tags: bool = False
    """Whether a rule has tags."""
    ordered: tuple[CompiledRule, ...] = ()
    """Those with an order, which are not among `rules` and `denials`, by it."""

    def actions_on(self, name: str) -> frozenset[str]:
        """Return the concrete actions allowed on the repository `name`: push and delete perhaps for some tags only."""
        return self._within_scopes(self.unlimited_actions_on(name), name)

    def unlimited_actions_on(self, name: str) -> frozenset[str]:
        """Return what the rules allow, whatever the scopes of an access token."""
        allowed: frozenset[str] = frozenset()
        first = self.first(name)
        if first and not any(rule.is_deny for rule in first):
            allowed = frozenset(chain.from_iterable(rule.actions for rule in first))
        for rule in self.rules:
            if not rule.actions <= allowed and rule.matches(name):
                allowed |= rule.actions
        for denial in self.denials:
            if denial.tags is None and not denial.actions.isdisjoint(allowed) and denial.matches(name):
                allowed -= denial.actions
        return allowed

    def first(self, name: str) -> tuple[CompiledRule, ...]:
        """Return the rules of the lowest order that match the repository `name`."""
        found: tuple[CompiledRule, ...] = ()
        for rule in self.ordered:
            if found and rule.order != found[0].order:
                break
            if rule.matches(name):
                found = (*found, rule)
        return found

    def allowing(self, name: str) -> list[CompiledRule]:
        """Return the rules that allow something on the repository `name`."""
        first = self.first(name)
        found = [] if any(rule.is_deny for rule in first) else list(first)
        return found + [rule for rule in self.rules if rule.matches(name)]

    def actions_on_every_tag(self, name: str) -> frozenset[str]:
        """Return the actions that are allowed whatever the tag, as for all of the repository `name`."""
        allowed = self.actions_on(name)
        if not self.has_tags:
            return allowed
        limited = frozenset(chain.from_iterable(d.actions for d in self.denials if d.tags and d.matches(name)))
        rules = self.allowing(name)
        free = frozenset(action for action in allowed if any(rule.covers(action, None) for rule in rules))
        return free - limited | allowed & {action_list.PULL}

    def tag_refusal(self, name: str, action: str, tags: Iterable[str | None]) -> TagRefusal | None:
        """Return the first of `tags` for which `action` is not allowed, None when each is; None in it: without a tag.

        The caller has found the action among `actions_on(name)`.
        """
        if not self.has_tags:
            return None
        allowing = [rule for rule in self.allowing(name) if action in rule.actions]
        denying = [rule for rule in self.denials if action in rule.actions and rule.matches(name)]
        for tag in tags:
            if denials := tuple(rule.text for rule in denying if rule.covers(action, tag)):
                return TagRefusal(tag, denials, is_denied=True)
            if not any(rule.covers(action, tag) for rule in allowing):
                return TagRefusal(tag, tuple(rule.text for rule in allowing))
        return None

    def limits_of_tags(self, name: str) -> list[str]:
        """Return the rules with tags that match the repository `name`, as strings."""
        return [rule.text for rule in (*self.denials, *self.rules) if rule.tags and rule.matches(name)]

    def allows(self, action: str) -> Callable[[str], bool]:
        """Return a function that tells whether `action` is allowed on a repository, for many names."""
        if self.scopes or self.denials or self.ordered:
            return lambda name: action in self.actions_on(name)
        matchers = [rule.matches for rule in self.rules if action in rule.actions]
        return lambda name: any(matches(name) for matches in matchers)

    def ranges(self, action: str) -> tuple[NameRange, ...]:
        """Return ranges that contain every name on which `action` is allowed, and possibly others."""
        patterns = (r.patterns for r in (*self.rules, *self.ordered) if action in r.actions and not r.is_deny)
        found = ranges_of(chain.from_iterable(patterns))
        # Not all names that a rule allows are those of a scope, and some may be denied.
        is_limited = self.scopes or self.ordered or any(action in rule.actions for rule in self.denials)
        return tuple(replace(one, is_whole=False) for one in found) if is_limited else found

    def matching(self, name: str) -> list[str]:
        """Return the rules that count for the repository `name`, as strings: first those that deny."""
        return [rule.text for rule in (*self.denials, *self.first(name), *self.rules) if rule.matches(name)]

    def denying(self, name: str, actions: frozenset[str]) -> list[str]:
        """Return the rules that deny one of `actions` on the repository `name`, whatever the tag.

        So do the first in order, if they allow less.
        """
        about = (rule for rule in self.denials if rule.tags is None and not actions.isdisjoint(rule.actions))
        found = [rule.text for rule in about if rule.matches(name)]
        return found or [rule.text for rule in self.first(name) if rule.is_deny or not actions <= rule.actions]

    def _within_scopes(self, allowed: frozenset[str], name: str) -> frozenset[str]:
        if not self.scopes:
            return allowed
        return allowed & frozenset(chain.from_iterable(scope.actions for scope in self.scopes if scope.matches(name)))


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """A rule with the predicate of its subject; its pattern is compiled only for matching identities.

    `until` is in seconds since 1970, infinite for a rule without an end.
    """

    applies_to: Callable[[Identity], bool]
    group: str | None
    pattern: str
    actions: frozenset[str]
    text: str
    is_deny: bool = False
    tags: str = ""
    networks: frozenset[str] = frozenset()
    until: float = math.inf
    order: int | None = None

    def is_at(self, identity: Identity) -> bool:
        """Tell whether the address of `identity` is one for which the rule counts."""
        if not self.networks:
            return True
        if identity.networks is None:
            return self.is_deny or self.order is not None
        return not self.networks.isdisjoint(identity.networks)

    def compiled(self, identity: Identity) -> CompiledRule:
        """Return the rule for an identity to which it applies."""
        pattern = self.pattern
        patterns: tuple[str, ...]
        if GROUP in pattern:
            groups = (self.group,) if self.group is not None else tuple(sorted(identity.groups))
            patterns, matches = _of_groups(pattern, identity.name, tuple(filter(could_be_part, groups)))
        elif ACCOUNT in pattern:
            patterns = (for_requester(pattern, identity.name),)
            matches = compile_glob(pattern, identity.name)
        else:
            patterns, matches = (pattern,), matcher(pattern)
        # Nobody knows whether it comes first for a client whose address is not known.
        is_deny = self.is_deny or (self.order is not None and bool(self.networks) and identity.networks is None)
        tags = matcher(self.tags) if self.tags else None
        return CompiledRule(patterns, matches, self.actions, self.text, tags, self.order, is_deny)


matcher = lru_cache(maxsize=10_000)(compile_glob)


def _of_groups(pattern: str, account: str, groups: tuple[str, ...]) -> tuple[tuple[str, ...], Callable[[str], bool]]:
    """Return the pattern for each group, and a predicate of names.

    Somebody may have a thousand groups: a pattern is compiled when the first name contains its group.
    """
    name = account if ACCOUNT in pattern else None
    patterns = tuple(for_requester(pattern, name, group) for group in groups)

    def matches(text: str) -> bool:
        return any(group in text and matcher(pattern, name, group)(text) for group in groups)

    return patterns, matches


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """All rules of one permissions version; those in `ended` count no longer."""

    rules: tuple[SubjectRule, ...]
    networks: tuple[Network, ...] = ()
    """All networks of `rules`."""
    ended: tuple[SubjectRule, ...] = ()

    @property
    def ends_at(self) -> float:
        """When the first of the rules ends, in seconds since 1970."""
        return min((rule.until for rule in self.rules), default=math.inf)

    def at(self, seconds: float) -> "CompiledRules":
        """Return the rules that are in force at a time."""
        rules = tuple(rule for rule in self.rules if rule.until > seconds)
        ended = tuple(rule for rule in self.rules if rule.until <= seconds)
        if not ended:
            return self
        kept = frozenset(chain.from_iterable(rule.networks for rule in rules))
        networks = tuple(network for network in self.networks if str(network) in kept)
        return CompiledRules(rules, networks, (*self.ended, *ended))

    def networks_of(self, address: str) -> frozenset[str] | None:
        """Return the networks of rules that contain `address`; None for what is no address."""
        return containing(self.networks, address)

    def of(self, identity: Identity) -> IdentityRules:
        """Return the rules that apply to `identity`."""
        found: tuple[list[CompiledRule], list[CompiledRule]] = ([], [])
        ordered: list[CompiledRule] = []
        for rule in self.rules:
            if rule.applies_to(identity) and rule.is_at(identity):
                (found[rule.is_deny] if rule.order is None else ordered).append(rule.compiled(identity))
        ordered.sort(key=lambda rule: rule.order or 0)
        limit = identity.limit.scopes if identity.limit is not None else ()
        scopes = (CompiledScope(matcher(pattern), action_list.expand(actions)) for pattern, actions in limit)
        allowing, denying = found
        has_tags = any(rule.tags is not None for rule in (*allowing, *denying))
        return IdentityRules(tuple(allowing), tuple(scopes), tuple(denying), has_tags, tuple(ordered))


def compile_rules(rows: Iterable[RuleRow]) -> CompiledRules:
    """Compile `rows`. Raises ValueError for a pattern or network that is not valid."""
    compiled = []
    networks: dict[Network, None] = {}
    for row in rows:
        check_glob(row.name)
        if row.tags:
            check_glob(row.tags)
        own = parse_networks(row.networks)
        networks |= dict.fromkeys(own)
        compiled.append(
            SubjectRule(
                _subject_test(row),
                row.subject if row.subject_kind == "group" else None,
                row.name,
                action_list.expand(row.actions.split(",")),
                sentence(row),
                bool(row.is_deny),
                row.tags,
                frozenset(map(str, own)),
                math.inf if row.until is None else row.until.timestamp(),
                row.order,
            )
        )
    return CompiledRules(tuple(compiled), tuple(networks))


def sentence(rule: RuleRow) -> str:
    """Return a rule as a sentence: `bob may pull alice/*`; one with an order begins with it: `order 10: bob may …`."""
    if rule.order is not None:
        return f"order {rule.order}: {_said(rule)}" + ("" if rule.is_deny else ", and nothing else")
    return _said(rule)


def _said(rule: RuleRow) -> str:
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
    what = listed(actions, "or" if rule.is_deny else "and") if actions else repr(rule.actions)
    if rule.is_deny:
        tags = f"tags {rule.tags} of " if rule.tags else ""
        return " ".join([f"{who} may not {what} {tags}{rule.name}", *_conditions(rule)])
    limited = actions - {action_list.PULL}
    tags = f", but {listed(limited)} only tags {rule.tags}" if rule.tags and limited else ""
    return " ".join([f"{who} may {what} {rule.name}", *_conditions(rule)]) + tags


def _conditions(rule: RuleRow) -> Iterator[str]:
    if rule.networks:
        yield f"from {' or '.join(rule.networks.split(','))}"
    if rule.until is not None:
        yield f"until {until_text(rule.until)}"


def listed(actions: Iterable[str], last: str = "and") -> str:
    """Return actions as a list of words: `pull, push and delete`."""
    wanted = set(actions)
    *words, end = [action for action in action_list.ALL if action in wanted]
    return f"{', '.join(words)} {last} {end}" if words else end


def _subject_test(row: RuleRow) -> Callable[[Identity], bool]:
    if row.subject_kind == "anonymous":
        # A rule for everybody can't depend on an account's name or groups.
        return (lambda _: False) if ACCOUNT in row.name or GROUP in row.name else (lambda _: True)
    if row.subject_kind == "group":
        group = row.subject
        return lambda identity: group in identity.groups
    if row.is_deny and row.subject == "*":
        # Workloads without an account are signed in too.
        return lambda identity: not identity.is_anonymous
    matches = compile_glob(row.subject)
    # `*` means every account, but would match the empty name of the anonymous identity, and those of workloads.
    return lambda identity: identity.has_account and matches(identity.name)
