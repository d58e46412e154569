"""`/api/v1/tokens`."""

from typing import cast

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Account
from api import change_log
from api.access_tokens.serializers import AccessTokenSerializer, NewAccessTokenSerializer
from api.administration import IsOwner
from api.paging import NumberedQuery, page_of, parameters, rows_page
from tokens.access import store


class AccessTokensView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(
        operation_id="list_access_tokens",
        parameters=[NumberedQuery],
        responses={200: page_of(AccessTokenSerializer, "AccessTokens"), 403: None},
    )
    def get(self, request: Request) -> Response:
        """List the own valid access tokens, newest first."""
        query = parameters(NumberedQuery, request)
        rows = store.of_account(cast(Account, request.user).name)
        if query["after"] is not None:
            rows = rows.filter(pk__lt=query["after"])
        return rows_page(request, rows, query["limit"], "pk", lambda row: dict(AccessTokenSerializer(row).data))

    @extend_schema(
        operation_id="create_access_token", request=AccessTokenSerializer, responses={201: NewAccessTokenSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make an access token; this answer alone has it.

        It needs a password or a session: an access token makes no other.
        """
        given = AccessTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        wanted, account = given.validated_data, cast(Account, request.user)
        try:
            row, token = store.create(
                account, wanted["name"], wanted.get("scopes", ()), wanted.get("lifetime"), by=account.name
            )
        except DjangoValidationError as error:
            raise ValidationError({"non_field_errors": error.messages}) from error
        change_log.record_access_token(request, f"access token {row.name} created")
        body = AccessTokenSerializer(row).data | {"token": token}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


class AccessTokenView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="revoke_access_token", responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Revoke an own access token: the next request with it is refused."""
        rows = store.of_account(cast(Account, request.user).name).filter(pk=token_id)
        row = rows.first()
        if row is None or not store.revoke(rows):
            raise NotFound
        change_log.record_access_token(request, f"access token {row.name} revoked")
        return Response(status=204)
