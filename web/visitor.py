"""Who looks at a page: the account of the session, or anonymous."""

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
    """An identity with its rules at the moment of the request."""

    identity: Identity
    rules: IdentityRules

    def may(self, name: RepositoryName, action: str, tag: str) -> bool:
        """Return whether the rules allow `action` on a tag."""
        return action in self.rules.actions_on(name) and self.rules.tag_refusal(name, action, [tag]) is None

    def pullable(self, text: str) -> RepositoryName:
        """Return the name of a repository that the visitor may pull.

        Raises Http404: a repository that is private, and one that does not exist, look alike.
        """
        try:
            name = parse_name(text)
        except InvalidNameError as error:
            raise Http404 from error
        if PULL not in self.rules.actions_on(name):
            raise Http404
        return name


def visitor_of(request: HttpRequest) -> Visitor:
    """Return the visitor; a session that lacks its second factor is anonymous."""
    account, version = request.user, permissions_version.current()
    identity = None
    if isinstance(account, Account) and second_factor.is_passed(request):
        # None: deactivated since the login.
        identity = identity_of(account.name, version)
    identity = grants.located(identity or ANONYMOUS, request.META.get("REMOTE_ADDR", ""), version)
    return Visitor(identity, grants.rules_of(identity, version))
