"""`?override=immutable`: a superuser sets immutability aside, explicitly and for one request."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request

from api.administration import Administers

OVERRIDE = OpenApiParameter(
    "override", str, enum=["immutable"], description="Set immutability aside; for superusers, and audited."
)
NOTE = "immutability overridden"
"""What the audit says of such a request."""


def is_overridden(request: Request) -> bool:
    """Tell whether the request sets immutability aside. Raises PermissionDenied for anybody but superusers."""
    given = request.query_params.get("override")
    if given is None:
        return False
    if given != "immutable":
        raise ValidationError({"override": ["It is `immutable`, or missing."]})
    rule = Administers()
    if not rule.has_permission(request, None):  # type: ignore[arg-type]  # of no view: it needs no permissions
        raise PermissionDenied(rule.message)
    if not request.user.is_superuser:
        raise PermissionDenied("Only a superuser may override immutability.")
    return True
