"""Who asks, and what the rules allow: the same rights as at `/v2/`."""

from typing import cast

from rest_framework.exceptions import NotAuthenticated, NotFound, PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

import web.visitor
from accounts import permissions_version
from accounts.identity import ANONYMOUS, Identity
from acl import grants
from acl.actions import PULL
from acl.names import RepositoryName
from distribution import queries
from policies.immutability import Obstacle


class Visitor(web.visitor.Visitor):
    """A visitor to whom errors say what is missing, as far as it may know."""

    __slots__ = ()

    def repository(self, text: str, action: str = PULL) -> RepositoryName:
        """Return the name of a visible repository on which the action is allowed.

        Raises NotFound; without an account NotAuthenticated, and PermissionDenied if only the action is missing.
        """
        name = self.visible(text)
        if name is not None and action in self.rules.actions_on(name):
            return name
        if self.identity.is_anonymous:
            raise NotAuthenticated
        if name is None:
            raise NotFound
        if self.identity.limit is not None and action in self.rules.unlimited_actions_on(name):
            raise PermissionDenied(f"The scopes of the access token {self.identity.limit.name!a} lack this.")
        raise PermissionDenied(f"No rule lets {self.identity.name} {action} {name}.")

    def obstacle(self, name: RepositoryName, tag: str = "") -> str | None:
        """Return why policies forbid to delete a tag, or anything: for who may push or delete; None: they do not."""
        # A policy names other repositories too.
        if self.rules.actions_on(name) <= {PULL}:
            return None
        found = Obstacle.to_deletion(name, self.version, [tag] if tag else [])
        return found.reason if found else None

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
    return Visitor(identity, grants.rules_of(identity, version), version)


class VisitorView(APIView):
    """A view of what rules allow, for anonymous too."""

    permission_classes = [AllowAny]
