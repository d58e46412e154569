"""Permissions of an identity: the database's rules, compiled once per permissions version and process."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from django.core.exceptions import ValidationError

from accounts.identity import Identity
from acl import actions as action_list
from acl import explanation
from acl.explanation import Explanation
from acl.models import Rule, SubjectKind
from acl.rules import CompiledRules, IdentityRules, compile_rules
from core.caches import VersionedCache

logger = logging.getLogger(__name__)


class _Compiled(NamedTuple):
    """The rules of one permissions version that are in force until `ends_at`, None for no end.

    `key` is another one after each end: the version of the caches below.
    """

    version: str
    key: str
    rules: CompiledRules
    ends_at: float | None


_compiled = _Compiled("", "", CompiledRules(()), None)
_of_identity: VersionedCache[IdentityRules] = VersionedCache(name="rules")
# Ten megabytes: clients choose the names, of up to 255 characters.
_actions: VersionedCache[frozenset[str]] = VersionedCache(limit=20_000, name="permissions")
_networks: VersionedCache[frozenset[str] | None] = VersionedCache(limit=5_000, name="networks")


def rules_of(identity: Identity, version: str) -> IdentityRules:
    """Return the rules that apply to `identity` at `version`."""
    current = _current(version)
    return _of_identity.get(current.key, identity, lambda: current.rules.of(identity))


def actions_on(identity: Identity, name: str, version: str) -> frozenset[str]:
    """Return the concrete actions of `identity` on the repository `name` at `version`."""
    # A pull asks here: most rules have no end, and a call takes a tenth of it.
    found = _compiled
    if found.version != version or found.ends_at is not None:
        found = _current(version)
    return _actions.get(
        found.key,
        (identity, name),
        lambda: action_list.interned(rules_of(identity, version).actions_on(name)),
    )


def located(identity: Identity, address: str, version: str) -> Identity:
    """Return the identity with the networks of rules that contain its address; unchanged if no rule has networks.

    Everything that decides about a request takes the identity from here.
    """
    current = _current(version)
    if not current.rules.networks:
        return identity
    networks = _networks.get(current.key, address, lambda: current.rules.networks_of(address))
    return replace(identity, networks=networks)


def has_networks(version: str) -> bool:
    """Tell whether a rule has networks, so that `located` changes identities."""
    return bool(_current(version).rules.networks)


def cache_key(version: str) -> str:
    """Return the version of a cache of what the rules allow: another one after the end of a rule too."""
    return _current(version).key


def explain(
    identity: Identity,
    name: str,
    action: str,
    version: str,
    *,
    tag: str | None = None,
    address: str = "",
    with_others: bool = True,
) -> Explanation:
    """Explain whether `identity` may do `action` on the repository `name` at `version`.

    `tag` of None means any tag, an empty `address` an unknown one.
    """
    there = located(identity, address, version)
    rules = _current(version).rules
    return explanation.explain(rules, there, name, action, tag=tag, address=address, with_others=with_others)


def _current(version: str) -> _Compiled:
    """Return the rules in force; at the end of one, without a statement, those that are left."""
    global _compiled  # noqa: PLW0603 - one set of rules a process
    found = _compiled
    if found.version != version:
        rules = _compile().at(time.time())
        ends_at = rules.ends_at
        found = _compiled = _Compiled(version, version, rules, None if math.isinf(ends_at) else ends_at)
    elif found.ends_at is not None and found.ends_at <= (now := time.time()):
        rules = found.rules.at(now)
        ends_at, key = rules.ends_at, f"{version} {len(rules.ended)}"
        found = _compiled = _Compiled(version, key, rules, None if math.isinf(ends_at) else ends_at)
    return found


def _compile() -> CompiledRules:
    return compile_rules(_valid())


def _valid() -> Iterator[Rule]:
    for rule in Rule.objects.all():
        if (known := in_force(rule)) is not None:
            yield known


def in_force(rule: Rule) -> Rule | None:
    """Return the rule as it counts: None for an invalid one that allows, one that denies more for one that denies.

    One with an order denies too: without it, those behind it might allow more.
    """
    try:
        rule.full_clean()
    except ValidationError as error:
        if not rule.is_deny and rule.order is None:
            logger.exception("access rule %s is not valid and allows nothing", rule.pk)
            return None
        logger.exception("access rule %s is not valid and denies all that it may be meant to", rule.pk)
        hold_back(rule)
        widen(rule, set(error.message_dict) - {"order"})
    return rule


def hold_back(rule: Rule) -> None:
    """Have a rule with an order deny every action: it decides about all of them."""
    if rule.order is not None:
        rule.is_deny, rule.order, rule.actions, rule.tags = True, None, action_list.EVERY, ""


def widen(rule: Rule, wrong: set[str]) -> None:
    """Put the widest value in place of each that is `wrong`: nobody knows what it was to be."""
    if wrong & {"subject_kind", "subject"}:
        rule.subject_kind, rule.subject = SubjectKind.ANONYMOUS, ""
    if "name" in wrong or (rule.subject_kind == SubjectKind.ANONYMOUS and "${" in rule.name):
        rule.name = "*"
    if "actions" in wrong:
        rule.actions = action_list.EVERY
    if wrong & {"tags", "actions"}:
        rule.tags = ""
    if "networks" in wrong:
        rule.networks = ""
    if wrong - {"comment", "created_at", "subject_kind", "subject", "name", "actions", "tags", "networks"}:
        # Nothing that is known: everything.
        rule.subject_kind, rule.subject, rule.name = SubjectKind.ANONYMOUS, "", "*"
        rule.actions, rule.tags, rule.networks, rule.until = action_list.EVERY, "", "", None
