"""Permissions of an identity: the database's rules, compiled once per permissions version and process."""

import logging

from django.core.exceptions import ValidationError

from accounts.identity import Identity
from acl import actions as action_list
from acl import explanation
from acl.explanation import Explanation
from acl.models import Rule
from acl.rules import CompiledRules, IdentityRules, compile_rules
from core.caches import VersionedCache

logger = logging.getLogger(__name__)

_compiled: VersionedCache[CompiledRules] = VersionedCache()
_of_identity: VersionedCache[IdentityRules] = VersionedCache(name="rules")
# Ten megabytes: clients choose the names, of up to 255 characters.
_actions: VersionedCache[frozenset[str]] = VersionedCache(limit=20_000, name="permissions")


def rules_of(identity: Identity, version: str) -> IdentityRules:
    """Return the rules that apply to `identity` at `version`."""
    return _of_identity.get(version, identity, lambda: _compiled.get(version, "", _compile).of(identity))


def actions_on(identity: Identity, name: str, version: str) -> frozenset[str]:
    """Return the concrete actions of `identity` on the repository `name` at `version`."""
    return _actions.get(
        version, (identity, name), lambda: action_list.interned(rules_of(identity, version).actions_on(name))
    )


def explain(identity: Identity, name: str, action: str, version: str, *, with_others: bool = True) -> Explanation:
    """Explain whether `identity` may do `action` on the repository `name` at `version`."""
    rules = _compiled.get(version, "", _compile)
    return explanation.explain(rules, identity, name, action, with_others=with_others)


def _compile() -> CompiledRules:
    """Compile the valid rules: rules only allow, so it is safe to skip an invalid one."""
    valid = []
    for rule in Rule.objects.all():
        try:
            rule.full_clean()
        except ValidationError:
            logger.exception("access rule %s is not valid and allows nothing", rule.pk)
        else:
            valid.append(rule)
    return compile_rules(valid)
