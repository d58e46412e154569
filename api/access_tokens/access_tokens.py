"""`/api/v1/tokens`."""

from typing import Any, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Account
from api import change_log, etags
from api.access_tokens.serializers import AccessTokenSerializer, NewAccessTokenSerializer
from api.administration import IsOwner
from api.paging import NumberedQuery, page_of, parameters, rows_page
from tokens.access import store
from tokens.models import AccessToken


class AccessTokensView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(
        operation_id="list_access_tokens",
        parameters=[NumberedQuery],
        responses={200: page_of(AccessTokenSerializer, "AccessTokens"), 403: None},
    )
    def get(self, request: Request) -> Response:
        """List the own valid access tokens, newest first."""
        query, rows = parameters(NumberedQuery, request), _own(request)
        if query["after"] is not None:
            rows = rows.filter(pk__lt=query["after"])
        return rows_page(request, rows, query["limit"], "pk", _represented)

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
        headers = {"Location": reverse("api:access_token", args=[row.pk]), "Cache-Control": "no-store"}
        return Response(_represented(row) | {"token": token}, status=201, headers=headers)


class AccessTokenView(APIView):
    permission_classes = [IsOwner]

    @extend_schema(operation_id="get_access_token", responses={200: AccessTokenSerializer, 304: None, 403: None})
    def get(self, request: Request, token_id: int) -> Response:
        """Return an own valid access token, without its secret."""
        return etags.answer(request, _represented(_found(request, token_id)))

    @extend_schema(operation_id="revoke_access_token", responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Revoke an own access token: the next request with it is refused."""
        row = _found(request, token_id)
        if not store.revoke(_own(request).filter(pk=row.pk)):
            raise NotFound
        change_log.record_access_token(request, f"access token {row.name} revoked")
        return Response(status=204)


def _own(request: Request) -> QuerySet[AccessToken]:
    return store.of_account(cast(Account, request.user).name)


def _found(request: Request, token_id: int) -> AccessToken:
    row = _own(request).filter(pk=token_id).first()
    if row is None:
        raise NotFound
    return row


def _represented(row: AccessToken) -> dict[str, Any]:
    return dict(AccessTokenSerializer(row).data)
