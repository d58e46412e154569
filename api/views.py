"""Views of the management API."""

from typing import cast

from django.http import HttpRequest
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import permissions_version
from accounts.identity import Identity, identity_named
from acl import grants
from acl.actions import CONCRETE
from acl.names import InvalidNameError, parse_name
from acl.rules import listed
from core.api.errors import RegistryError
from core.api.host import host_of
from core.api.notes import ANONYMOUS_NAME, IS_FORWARDED
from distribution import repositories
from distribution.protocol.pagination import page_limit, page_start


class WhoamiView(APIView):
    """`GET /api/v1/whoami`."""

    def get(self, request: Request) -> Response:
        identity = cast(Identity, request.auth)
        account = request.user
        body = {
            "name": identity.name,
            "groups": sorted(identity.groups),
            "is_staff": account.is_staff,
            "is_superuser": account.is_superuser,
        }
        return Response(body)


class ConnectionView(APIView):
    """`GET /api/v1/connection`: what the registry sees of this request, to compare with what the client has sent."""

    def get(self, request: Request) -> Response:
        http = cast(HttpRequest, request)
        meta = http.META
        body = {
            "scheme": http.scheme,
            "host": host_of(http),
            "address": meta["REMOTE_ADDR"],
            "http_version": meta["SERVER_PROTOCOL"],
            "peer_port": int(meta.get("REMOTE_PORT") or 0),
            "is_forwarded": meta.get(IS_FORWARDED, False),
        }
        return Response(body)


class ExplainView(APIView):
    """`GET /api/v1/explain?repository=&action=[&account=]`: why an account may do it, or not."""

    def get(self, request: Request) -> Response:
        """Explain the own account or anonymous to everybody, any account to an administrator."""
        query, own = request.query_params, cast(Identity, request.auth)
        account, action = query.get("account", own.name), query.get("action", "")
        try:
            name = parse_name(query.get("repository", ""))
        except InvalidNameError as error:
            raise ValidationError({"detail": f"repository: {error}"}) from error
        if action not in CONCRETE:
            raise ValidationError({"detail": f"action is one of {listed(CONCRETE, 'or')}"})
        if account not in (own.name, ANONYMOUS_NAME) and not request.user.is_superuser:
            raise PermissionDenied("Only an administrator may ask about another account.")
        version = permissions_version.current()
        identity = identity_named(account, version)
        if identity is None:
            raise NotFound(f"There is no active account {account!a}.")
        found = grants.explain(identity, name, action, version, with_others=request.user.is_superuser)
        return Response({"allowed": found.is_allowed, "decision": found.decision, "rules": found.rules})


class RepositoriesView(APIView):
    """`GET /api/v1/repositories?n=&last=`."""

    def get(self, request: Request) -> Response:
        """Answer with a page of repositories that the account may pull, and its actions on each."""
        identity = cast(Identity, request.auth)
        rules = grants.rules_of(identity, permissions_version.current())
        try:
            limit = page_limit(request.query_params)
        except RegistryError as error:
            return Response({"detail": str(error)}, status=error.status)
        last = page_start(request.query_params)
        page = repositories.catalog(limit, last, rules)
        body = [{"name": name, "actions": sorted(rules.actions_on(name))} for name in page.names]
        return Response({"repositories": body, "next": page.names[-1] if page.has_more and page.names else None})
