"""`/api/v1/policies/<kind>`; a change applies to the next request in every process."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import transaction
from django.urls import URLPattern, path, reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api import change_log, etags
from api.administration import AdministrationView, permissions_on
from api.paging import NumberedQuery, page_of, parameters, rows_page
from api.policies.serializers import serializer_of
from policies.forms import form_of
from policies.kinds import KINDS
from policies.models import Policy


class _KindView(AdministrationView):
    kind: ClassVar[type[Policy]]
    serializer: ClassVar[type[serializers.Serializer[Policy]]]

    def represented(self, policy: Policy) -> dict[str, Any]:
        return dict(self.serializer(policy).data)

    def found(self, policy_id: int, *, is_locked: bool = False) -> Policy:
        rows = self.kind._default_manager.all()
        policy = (rows.select_for_update() if is_locked else rows).filter(pk=policy_id).first()
        if policy is None:
            raise NotFound
        return policy

    def saved(self, policy: Policy, values: Mapping[str, Any]) -> Policy:
        """Save the policy as the admin does. Raises ValidationError with what is wrong with each field."""
        form = form_of(self.kind)(dict(values), instance=policy)
        if not form.is_valid():
            raise ValidationError({field: [str(text) for text in texts] for field, texts in form.errors.items()})
        saved: Policy = form.save()
        return saved


class PoliciesView(_KindView):
    def get(self, request: Request) -> Response:
        """List the policies of this kind, by id."""
        query = parameters(NumberedQuery, request)
        rows = self.kind._default_manager.filter(pk__gt=query["after"] or 0).order_by("pk")
        return rows_page(request, rows, query["limit"], "pk", self.represented)

    def post(self, request: Request) -> Response:
        """Create a policy, which holds from the next request on."""
        given = self.serializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            policy = self.saved(self.kind(), given.validated_data)
            made = self.represented(policy)
            change_log.record(request, policy, ADDITION, "Added by the API.", after=made)
        return etags.created(request, made, reverse(f"api:policy-{self.kind.kind}", args=[policy.pk]))


class PolicyView(_KindView):
    def get(self, request: Request, policy_id: int) -> Response:
        """Return a policy, with its sentence."""
        return etags.answer(request, self.represented(self.found(policy_id)))

    def patch(self, request: Request, policy_id: int) -> Response:
        """Change a policy; fields that are left out stay."""
        given = self.serializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            policy = self.found(policy_id, is_locked=True)
            now = self.represented(policy)
            etags.require_match(request, etags.etag_of(now))
            saved = self.saved(policy, now | given.validated_data)
            after = self.represented(self.found(saved.pk))
            change_log.record(request, saved, CHANGE, "Changed by the API.", before=now, after=after)
        return etags.answer(request, after)

    def delete(self, request: Request, policy_id: int) -> Response:
        """Delete a policy: what it forbade is allowed from the next request on."""
        with transaction.atomic():
            policy = self.found(policy_id, is_locked=True)
            etags.require_match(request, etags.etag_of(self.represented(policy)))
            change_log.record(request, policy, DELETION, "Deleted by the API.")
            policy.delete()
        return Response(status=204)


def paths() -> list[URLPattern]:
    """Return the paths of every kind."""
    return [found for kind in KINDS for found in _paths(kind)]


def _paths(kind: type[Policy]) -> list[URLPattern]:
    name, one = kind.kind, serializer_of(kind)
    shared = {"kind": kind, "serializer": one, "permissions": permissions_on(f"policies.{kind._meta.model_name}")}
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
