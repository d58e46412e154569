"""Rights of administrators: Django's permissions, from where the admin is open, as in the admin itself."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import second_factor
from accounts.identity import Identity
from core.api.notes import ADMIN_IS_OPEN

OVERRIDE = OpenApiParameter(
    "override", str, enum=["immutable"], description="Set immutability aside; for superusers, and audited."
)


class Administers(BasePermission):
    """Staff with the permissions that the view names for the method.

    A password alone does not replace a second factor: an account that has one, or needs one, comes with a session. An
    access token is for machines and may be stored anywhere, so it never administers.
    """

    message = "Only staff may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        account: Any = request.user
        if account is None:
            return False
        http = request._request
        wanted = getattr(view, "permissions", {}).get("GET" if request.method == "HEAD" else request.method, ())
        if cast(Identity, request.auth).limit is not None:
            self.message = "An access token does not administer: use a password or a session."
        elif not http.META.get(ADMIN_IS_OPEN, False):
            self.message = "Administration is not open at this address, or from this network."
        elif not account.is_staff:
            self.message = "Only staff may do this."
        elif not second_factor.is_verified(http):
            self.message = "Administration needs a session that has passed the second factor, not a password alone."
        elif missing := [permission for permission in wanted if not account.has_perm(permission)]:
            self.message = f"The account lacks the permission {missing[0]}."
        else:
            return True
        return False


class IsOwner(BasePermission):
    """The owner of the account: by a password or a session, after the second factor if there is one."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        identity = cast("Identity | None", request.auth)
        if identity is None:
            return False
        if identity.limit is not None:
            self.message = "An access token does not manage access tokens: use a password or a session."
        elif not second_factor.is_passed(request._request):
            self.message = "This needs a session that has passed the second factor, not a password alone."
        else:
            return True
        return False


class AdministrationView(APIView):
    """A view for administrators; `permissions` has those of each method."""

    permission_classes = [Administers]
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {}


def permissions_on(model: str) -> dict[str, tuple[str, ...]]:
    """Return Django's permissions on `app.model` by method."""
    app, name = model.split(".")
    verbs: dict[str, Any] = {"GET": "view", "POST": "add", "PATCH": "change", "DELETE": "delete"}
    return {method: (f"{app}.{verb}_{name}",) for method, verb in verbs.items()}


def override_note(request: Request) -> str:
    """Return what the audit says when `?override=immutable` sets immutability aside, otherwise "".

    Raises PermissionDenied for all but superusers.
    """
    given = request.query_params.get("override")
    if given is None:
        return ""
    if given != "immutable":
        raise ValidationError({"override": ["It is `immutable`, or missing."]})
    rule = Administers()
    if not rule.has_permission(request, None):  # type: ignore[arg-type]  # of no view: it needs no permissions
        raise PermissionDenied(rule.message)
    if not request.user.is_superuser:
        raise PermissionDenied("Only a superuser may override immutability.")
    return "immutability overridden"
