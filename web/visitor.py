"""Who looks at a page or asks the API: an identity with its rules, which tell what there is for it to see."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest

from accounts import permissions_version, second_factor
from accounts.identity import ANONYMOUS, Identity, identity_of
from accounts.models import Account
from acl import grants
from acl.actions import PULL
from acl.names import InvalidNameError, RepositoryName, parse_name
from acl.rules import IdentityRules


@dataclass(frozen=True, slots=True)
class Visitor:
    """An identity with its rules at the moment of the request, and the permissions version that they are of."""

    identity: Identity
    rules: IdentityRules
    version: str

    def may(self, name: RepositoryName, action: str, tag: str) -> bool:
        """Return whether the rules allow `action` on a tag."""
        return action in self.rules.actions_on(name) and self.rules.tag_refusal(name, action, [tag]) is None

    def visible(self, text: str) -> RepositoryName | None:
        """Return the name of a repository that may be pulled.

        None for any other: one that is private, one that does not exist and a name outside the grammar look alike.
        """
        try:
            name = parse_name(text)
        except InvalidNameError:
            return None
        return name if PULL in self.rules.actions_on(name) else None

    def pullable(self, text: str) -> RepositoryName:
        """Return what `visible` returns. Raises Http404."""
        name = self.visible(text)
        if name is None:
            raise Http404
        return name


def visitor_of(request: HttpRequest) -> Visitor:
    """Return the visitor of a page: the account of its session, or anonymous."""
    version = permissions_version.current()
    identity = identity_of_session(request, version) or ANONYMOUS
    identity = grants.located(identity, request.META.get("REMOTE_ADDR", ""), version)
    return Visitor(identity, grants.rules_of(identity, version), version)


def identity_of_session(request: HttpRequest, version: str) -> Identity | None:
    """Return the active account of a session at `version`.

    None without one, and while its second factor has not been passed.
    """
    account = getattr(request, "user", None)
    if not isinstance(account, Account) or not account.is_active or not second_factor.is_passed(request):
        return None
    return identity_of(account.name, version)
