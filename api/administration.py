"""Rights of administrators: Django's permissions, from where the admin is open, as in the admin itself."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import second_factor
from core.api.notes import ADMIN_IS_OPEN


class Administers(BasePermission):
    """Staff with the permissions that the view names for the method.

    A password alone does not replace a second factor: an account that has one, or needs one, comes with a session.
    """

    message = "Only staff may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        account: Any = request.user
        if account is None:
            return False
        http = request._request
        wanted = getattr(view, "permissions", {}).get("GET" if request.method == "HEAD" else request.method, ())
        if not http.META.get(ADMIN_IS_OPEN, False):
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


class AdministrationView(APIView):
    """A view for administrators; `permissions` has those of each method."""

    permission_classes = [Administers]
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {}


def permissions_on(model: str) -> dict[str, tuple[str, ...]]:
    """Return Django's permissions on `app.model` by method."""
    app, name = model.split(".")
    verbs: dict[str, Any] = {"GET": "view", "POST": "add", "PATCH": "change", "DELETE": "delete"}
    return {method: (f"{app}.{verb}_{name}",) for method, verb in verbs.items()}
