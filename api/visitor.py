"""Who asks, and what the rules allow: the same rights as at `/v2/`."""

from dataclasses import dataclass
from typing import cast

from rest_framework.exceptions import NotAuthenticated, NotFound, PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import permissions_version
from accounts.identity import ANONYMOUS, Identity
from acl import grants
from acl.actions import PULL
from acl.names import InvalidNameError, RepositoryName, parse_name
from acl.rules import IdentityRules
from distribution import queries


@dataclass(frozen=True, slots=True)
class Visitor:
    """An identity with its rules at the moment of the request."""

    identity: Identity
    rules: IdentityRules

    def repository(self, text: str, action: str = PULL) -> RepositoryName:
        """Return the name of a repository on which the action is allowed.

        Raises NotFound: a repository that is private, and one that does not exist, look alike. Without an account
        NotAuthenticated for both, and PermissionDenied if only the action is missing.
        """
        try:
            name = parse_name(text)
        except InvalidNameError as error:
            raise NotFound from error
        actions = self.rules.actions_on(name)
        if action in actions and PULL in actions:
            return name
        if self.identity.is_anonymous:
            raise NotAuthenticated
        if PULL not in actions:
            raise NotFound
        if self.identity.limit is not None and action in self.rules.unlimited_actions_on(name):
            raise PermissionDenied(f"The scopes of the access token {self.identity.limit.name!a} lack this.")
        raise PermissionDenied(f"No rule lets {self.identity.name} {action} {name}.")

    def repository_pk(self, text: str, action: str = PULL) -> tuple[RepositoryName, int]:
        """Return name and primary key of a repository that exists. Raises what `repository` raises."""
        name = self.repository(text, action)
        pk = queries.repository(name)
        if pk is None:
            raise NotFound
        return name, pk


def visitor_of(request: Request) -> Visitor:
    """Return who asks; nobody's rules are those of everybody."""
    version = permissions_version.current()
    known = cast("Identity | None", request.auth) or ANONYMOUS
    identity = grants.located(known, request.META.get("REMOTE_ADDR", ""), version)
    return Visitor(identity, grants.rules_of(identity, version))


class VisitorView(APIView):
    """A view of what rules allow, for anonymous too."""

    permission_classes = [AllowAny]
