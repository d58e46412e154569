"""Access at other registries that trust the tokens (`auth.services`).

They know nothing of the rules: a token is all that they ask, until it ends, and tags are nothing to them.
"""

from accounts.identity import Identity
from acl import actions as action_list
from acl import grants
from acl.actions import Access
from acl.rules import matcher
from configuration.identities import TokenService
from tokens.scope import repository_of


def allowed(service: TokenService, identity: Identity, access: Access, version: str) -> frozenset[str]:
    """Return the actions that are granted: on repositories, those that the rules allow whatever the tag.

    The catalog there lists everything, so it takes a group, and no access token with scopes.
    """
    if (access.type, access.name) == ("registry", "catalog"):
        is_limited = identity.limit is not None and bool(identity.limit.scopes)
        may_list = service.catalog in identity.groups and not is_limited
        return access.actions & {action_list.EVERY} if may_list else frozenset()
    name = repository_of(access)
    if name is None or not any(matcher(pattern)(name) for pattern in service.repositories):
        return frozenset()
    return action_list.expand(access.actions) & grants.rules_of(identity, version).actions_on_every_tag(name)
