"""`/api/v1/accounts`."""

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.governing import may_govern
from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from api import change_log, etags
from api.accounts.serializers import AccountSerializer, AccountsQuery
from api.administration import AdministrationView, permissions_on
from api.paging import page_of, parameters, rows_page
from audit.kinds import Kind


class AccountsView(AdministrationView):
    permissions = permissions_on("accounts.account")

    @extend_schema(
        operation_id="list_accounts", parameters=[AccountsQuery], responses=page_of(AccountSerializer, "Accounts")
    )
    def get(self, request: Request) -> Response:
        """List the accounts, by name."""
        query = parameters(AccountsQuery, request)
        rows = _with_groups().filter(name__gt=query["after"]).order_by("name")
        if query["contains"]:
            rows = rows.filter(name__contains=query["contains"])
        if query["group"]:
            rows = rows.filter(groups__name=query["group"])
        if query["is_active"] is not None:
            rows = rows.filter(is_active=query["is_active"])
        return rows_page(request, rows, query["limit"], "name", _represented)

    @extend_schema(operation_id="create_account", request=AccountSerializer, responses={201: AccountSerializer})
    def post(self, request: Request) -> Response:
        """Create an account; without a password it can't log in. With an `owner` it is a robot."""
        given = AccountSerializer(data=request.data, context={"request": request})
        with transaction.atomic():
            given.is_valid(raise_exception=True)
            account = given.save()
            made = _represented(_found(account.name))
            change_log.record(request, account, ADDITION, "Added by the API.", after=made)
        return etags.created(request, made, reverse("api:account", args=[account.name]))


class AccountView(AdministrationView):
    permissions = permissions_on("accounts.account")

    @extend_schema(operation_id="get_account", responses={200: AccountSerializer, 304: None})
    def get(self, request: Request, name: str) -> Response:
        """Return an account."""
        return etags.answer(request, _represented(_found(name)))

    @extend_schema(
        operation_id="update_account",
        request=AccountSerializer(partial=True),
        responses={200: AccountSerializer, 412: None},
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change an account; fields that are left out stay. Only superusers change staff."""
        with transaction.atomic():
            account = self._governed(request, name)
            before = _represented(account)
            given = AccountSerializer(account, data=request.data, partial=True, context={"request": request})
            given.is_valid(raise_exception=True)
            given.save()
            changed = sorted(given.validated_data)
            message = f"Changed by the API: {', '.join(changed) or 'nothing'}."
            after = _represented(_found(account.name))
            change_log.record(request, account, CHANGE, message, before=before, after=after)
            if "password" in changed:
                change_log.record_committed(request, Kind.PASSWORD, f"account {account}", "password changed")
        return etags.answer(request, after)

    @extend_schema(operation_id="delete_account", responses={204: None, 412: None})
    def delete(self, request: Request, name: str) -> Response:
        """Delete an account; its uploads and repositories stay."""
        with transaction.atomic():
            account = self._governed(request, name)
            if account.pk == request.user.pk:
                raise PermissionDenied("Nobody deletes its own account.")
            change_log.record(request, account, DELETION, "Deleted by the API.")
            account.delete()
        return Response(status=204)

    def _governed(self, request: Request, name: str) -> Account:
        """Return the account, locked, if it may be changed and is in the state that the client asks for."""
        account = _found(name)
        # PostgreSQL locks no outer join, so the row is locked apart, and read again.
        Account.objects.select_for_update().filter(pk=account.pk).first()
        account = _found(name)
        if not may_govern(request.user, account):
            raise PermissionDenied("Only a superuser changes staff, and accounts with permissions.")
        etags.require_match(request, etags.etag_of(_represented(account)))
        return account


def _with_groups() -> QuerySet[Account]:
    return Account.objects.select_related("second_factor", "owner").prefetch_related("groups")


def _found(name: str) -> Account:
    account = _with_groups().filter(name=name).first() if ACCOUNT_NAME.fullmatch(name) else None
    if account is None:
        raise NotFound
    return account


def _represented(account: Account) -> dict[str, Any]:
    return dict(AccountSerializer(account).data)
