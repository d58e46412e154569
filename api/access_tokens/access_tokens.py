"""`/api/v1/tokens`, and the tokens of robots below `/api/v1/robots`."""

from typing import cast

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import robots
from accounts.models import Account
from api import change_log
from api.access_tokens.serializers import (
    AccessTokenSerializer,
    NewAccessTokenSerializer,
    RobotSerializer,
    RobotTokenSerializer,
    TrustedIssuersSerializer,
)
from api.administration import AdministrationView, IsOwner
from api.paging import NumberedQuery, PageQuery, page_of, parameters, rows_page
from tokens.access import store
from tokens.workload.listing import trusted_issuers


class AccessTokensView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(
        operation_id="list_access_tokens",
        parameters=[NumberedQuery],
        responses={200: page_of(AccessTokenSerializer, "AccessTokens"), 403: None},
    )
    def get(self, request: Request) -> Response:
        """List the own valid access tokens, newest first."""
        return _listed(request, cast(Account, request.user), AccessTokenSerializer)

    @extend_schema(
        operation_id="create_access_token", request=AccessTokenSerializer, responses={201: NewAccessTokenSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make an access token; this answer alone has it.

        It needs a password or a session: an access token makes no other.
        """
        return _created(request, cast(Account, request.user))


class AccessTokenView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="revoke_access_token", responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Revoke an own access token: the next request with it is refused."""
        return _revoked(request, cast(Account, request.user), token_id)


class RobotsView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(
        operation_id="list_robots",
        parameters=[PageQuery],
        responses={200: page_of(RobotSerializer, "Robots"), 403: None},
    )
    def get(self, request: Request) -> Response:
        """List the robots of the own groups, by name."""
        query = parameters(PageQuery, request)
        rows = robots.managed_by(cast(Account, request.user)).filter(name__gt=query["after"])
        rows = rows.prefetch_related("groups")
        return rows_page(request, rows, query["limit"], "name", lambda row: dict(RobotSerializer(row).data))


class RobotTokensView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(
        operation_id="list_robot_tokens",
        parameters=[NumberedQuery],
        responses={200: page_of(RobotTokenSerializer, "RobotTokens"), 403: None},
    )
    def get(self, request: Request, name: str) -> Response:
        """List the valid access tokens of a robot of an own group, newest first."""
        return _listed(request, _robot(request, name), RobotTokenSerializer)

    @extend_schema(
        operation_id="create_robot_token", request=AccessTokenSerializer, responses={201: NewAccessTokenSerializer}
    )
    def post(self, request: Request, name: str) -> Response:
        """Make an access token of a robot of an own group; this answer alone has it."""
        return _created(request, _robot(request, name))


class RobotTokenView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="revoke_robot_token", responses={204: None})
    def delete(self, request: Request, name: str, token_id: int) -> Response:
        """Revoke an access token of a robot of an own group: the next request with it is refused."""
        return _revoked(request, _robot(request, name), token_id)


class TrustedIssuersView(AdministrationView):
    permissions = {"GET": ("tokens.view_accesstoken",)}

    @extend_schema(operation_id="list_trusted_issuers", responses=TrustedIssuersSerializer)
    def get(self, request: Request) -> Response:
        """Return the issuers of the configuration whose tokens are logins at `/v2/token`."""
        return Response(TrustedIssuersSerializer({"items": trusted_issuers()}).data)


def _robot(request: Request, name: str) -> Account:
    """Return the robot. Raises NotFound for one of other groups too, which the caller does not see."""
    robot = robots.named(cast(Account, request.user), name)
    if robot is None:
        raise NotFound
    return robot


def _listed(request: Request, account: Account, serializer: type[AccessTokenSerializer]) -> Response:
    query = parameters(NumberedQuery, request)
    rows = store.of_account(account.name)
    if query["after"] is not None:
        rows = rows.filter(pk__lt=query["after"])
    return rows_page(request, rows, query["limit"], "pk", lambda row: dict(serializer(row).data))


def _created(request: Request, account: Account) -> Response:
    given = AccessTokenSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    wanted, actor = given.validated_data, cast(Account, request.user).name
    try:
        row, token = store.create(account, wanted["name"], wanted.get("scopes", ()), wanted.get("lifetime"), by=actor)
    except DjangoValidationError as error:
        raise ValidationError({"non_field_errors": error.messages}) from error
    change_log.record_access_token(request, account.name, f"access token {row.name} created")
    body = AccessTokenSerializer(row).data | {"token": token}
    return Response(body, status=201, headers={"Cache-Control": "no-store"})


def _revoked(request: Request, account: Account, token_id: int) -> Response:
    rows = store.of_account(account.name).filter(pk=token_id)
    row = rows.first()
    if row is None or not store.revoke(rows):
        raise NotFound
    change_log.record_access_token(request, account.name, f"access token {row.name} revoked")
    return Response(status=204)
