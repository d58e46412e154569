"""`/api/v1/policies/<kind>`; a change applies to the next request in every process."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from api.administration import permissions_on
from api.paging import NumberedQuery, page_of, parameters
from api.policies.quota_usage import QuotaUsageView
from api.policies.serializers import serializer_of
from api.rows import RowsView
from policies.forms import form_of
from policies.kinds import KINDS
from policies.models import Policy


class _KindView(RowsView):
    model: ClassVar[type[Policy]]

    def form_of(self, row: Policy, values: Mapping[str, Any]) -> Any:
        return form_of(self.model)(dict(values), instance=row)


class PoliciesView(_KindView):
    def get(self, request: Request) -> Response:
        """List the policies of this kind, by id."""
        return self.listed(request, parameters(NumberedQuery, request))

    def post(self, request: Request) -> Response:
        """Create a policy, which holds from the next request on."""
        return self.created(request)


class PolicyView(_KindView):
    def get(self, request: Request, policy_id: int) -> Response:
        """Return a policy, with its sentence."""
        return self.shown(request, policy_id)

    def patch(self, request: Request, policy_id: int) -> Response:
        """Change a policy; fields that are left out stay."""
        return self.changed(request, policy_id)

    def delete(self, request: Request, policy_id: int) -> Response:
        """Delete a policy: what it forbade is allowed from the next request on."""
        return self.deleted(request, policy_id)


def paths() -> list[URLPattern]:
    """Return the paths of every kind."""
    usage = path("policies/quotas/<int:policy_id>/usage", QuotaUsageView.as_view())
    return [*(found for kind in KINDS for found in _paths(kind)), usage]


def _paths(kind: type[Policy]) -> list[URLPattern]:
    name, one = kind.kind, serializer_of(kind)
    permissions = permissions_on(f"policies.{kind._meta.model_name}")
    shared = {"model": kind, "serializer": one, "permissions": permissions, "address": f"policy-{name}"}
    many_view: Any = extend_schema_view(
        get=extend_schema(
            operation_id=f"list_{name}", parameters=[NumberedQuery], responses=page_of(one, kind.__name__)
        ),
        post=extend_schema(operation_id=f"create_{name}", request=one, responses={201: one}),
    )(type(f"{kind.__name__}ListView", (PoliciesView,), shared))
    one_view: Any = extend_schema_view(
        get=extend_schema(operation_id=f"get_{name}", responses={200: one, 304: None}),
        patch=extend_schema(operation_id=f"update_{name}", request=one(partial=True), responses={200: one, 412: None}),
        delete=extend_schema(operation_id=f"delete_{name}", responses={204: None, 412: None}),
    )(type(f"{kind.__name__}View", (PolicyView,), shared))
    return [
        path(f"policies/{name}", many_view.as_view()),
        path(f"policies/{name}/<int:policy_id>", one_view.as_view(), name=f"policy-{name}"),
    ]
