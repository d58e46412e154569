"""`/api/v1/whoami`, `connection`, `explain` and `version`."""

from datetime import UTC, datetime
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import permissions_version
from accounts.identity import Identity, identity_named
from acl import actions as action_list
from acl import grants
from acl.actions import CONCRETE
from acl.names import InvalidNameError, parse_name
from api.paging import parameters
from core.api.host import host_of
from core.api.notes import ANONYMOUS_NAME, IS_FORWARDED


class OwnTokenSerializer(serializers.Serializer[Any]):
    """The access token of the request."""

    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField(), help_text="Empty: all that the account may.")
    expires_at = serializers.DateTimeField()


class WhoamiSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    groups = serializers.ListField(child=serializers.CharField())
    is_staff = serializers.BooleanField()
    is_superuser = serializers.BooleanField()
    access_token = OwnTokenSerializer(allow_null=True, help_text="By which you are known; null: by something else.")


class WhoamiView(APIView):
    @extend_schema(operation_id="whoami", responses=WhoamiSerializer)
    def get(self, request: Request) -> Response:
        """Return the own account, and the access token by which it is known."""
        identity = cast(Identity, request.auth)
        account: Any = request.user
        body = {"name": identity.name, "groups": sorted(identity.groups)}
        powers = {"is_staff": account.is_staff, "is_superuser": account.is_superuser}
        token, limit = None, identity.limit
        if limit is not None:
            scopes = [f"{pattern}:{action_list.canonical(actions)}" for pattern, actions in limit.scopes]
            expires_at = datetime.fromtimestamp(limit.expires_at, UTC)
            token = OwnTokenSerializer({"name": limit.name, "scopes": scopes, "expires_at": expires_at}).data
        return Response(body | powers | {"access_token": token})


class ConnectionSerializer(serializers.Serializer[Any]):
    scheme = serializers.CharField()
    host = serializers.CharField()
    address = serializers.CharField(help_text="Of the client.")
    http_version = serializers.CharField()
    peer_port = serializers.IntegerField(help_text="Of the proxy or client; 0: unknown.")
    is_forwarded = serializers.BooleanField(help_text="Whether a trusted proxy names the client.")


class ConnectionView(APIView):
    @extend_schema(operation_id="get_connection", responses=ConnectionSerializer)
    def get(self, request: Request) -> Response:
        """Return what the registry sees of this request, to compare with what the client has sent."""
        http: HttpRequest = request._request
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


class ExplainQuery(serializers.Serializer[Any]):
    repository = serializers.CharField(max_length=255)
    action = serializers.ChoiceField(sorted(CONCRETE))
    tag = serializers.CharField(max_length=128, default=None, allow_null=True, help_text="To push or delete.")
    address = serializers.IPAddressField(
        default=None, allow_null=True, help_text="Of the client; that of the request if it is left out."
    )
    account = serializers.CharField(
        max_length=128, default=None, allow_null=True, help_text="`anonymous`, or another account: for superusers."
    )


class ExplanationSerializer(serializers.Serializer[Any]):
    allowed = serializers.BooleanField()
    decision = serializers.CharField(help_text="A sentence.")
    rules = serializers.ListField(
        child=serializers.CharField(), help_text="Of the rules that allow it, otherwise of those that come close."
    )


class ExplainView(APIView):
    @extend_schema(
        operation_id="explain",
        parameters=[ExplainQuery],
        responses={200: ExplanationSerializer, 403: None, 404: None},
    )
    def get(self, request: Request) -> Response:
        """Explain whether an account may do an action on a repository.

        Everybody may ask about the own account and `anonymous`, superusers about any. With an access token, the answer
        about the own account counts its scopes.
        """
        query, own = parameters(ExplainQuery, request), cast(Identity, request.auth)
        account = query["account"] or own.name
        try:
            name = parse_name(query["repository"])
        except InvalidNameError as error:
            raise ValidationError({"repository": [str(error)]}) from error
        # An access token has no powers.
        is_superuser = request.user.is_superuser and own.limit is None
        if account not in (own.name, ANONYMOUS_NAME) and not is_superuser:
            raise PermissionDenied("Only an administrator may ask about another account.")
        version = permissions_version.current()
        identity = identity_named(account, version)
        if identity is None:
            raise NotFound(f"There is no active account {account!a}.")
        address = query["address"] or request.META.get("REMOTE_ADDR", "")
        about: dict[str, Any] = {"tag": query["tag"], "address": address, "with_others": is_superuser}
        found = grants.explain(identity, name, query["action"], version, **about)
        own = grants.located(own, address, version)
        body = {"allowed": found.is_allowed, "decision": found.decision, "rules": found.rules}
        if found.is_allowed and account == own.name and query["action"] not in grants.actions_on(own, name, version):
            lacking = f"{found.decision}, but the scopes of this access token lack it"
            body |= {"allowed": False, "decision": lacking}
        return Response(body)


class VersionSerializer(serializers.Serializer[Any]):
    version = serializers.CharField(help_text="Of the registry, with its commit if it is known.")
    api = serializers.CharField(help_text="Of this API.")


class VersionView(APIView):
    @extend_schema(operation_id="get_version", responses=VersionSerializer)
    def get(self, request: Request) -> Response:
        """Return the version of the registry."""
        return Response({"version": settings.REGISTRY_VERSION, "api": "v1"})
