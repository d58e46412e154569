"""`/api/v1/rules`; a change applies to the next request in every process."""

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from acl.forms import RuleForm
from acl.models import Rule
from api import change_log, etags
from api.administration import AdministrationView, permissions_on
from api.paging import page_of, parameters, rows_page
from api.rules.serializers import RuleSerializer, RulesQuery


class RulesView(AdministrationView):
    permissions = permissions_on("acl.rule")

    @extend_schema(operation_id="list_rules", parameters=[RulesQuery], responses=page_of(RuleSerializer, "Rules"))
    def get(self, request: Request) -> Response:
        """List the rules, by id."""
        query = parameters(RulesQuery, request)
        rows = Rule.objects.filter(pk__gt=query["after"] or 0).order_by("pk")
        exact = {name: query[name] for name in ("subject_kind", "subject") if query[name] is not None}
        if query["contains"]:
            rows = rows.filter(name__contains=query["contains"])
        return rows_page(request, rows.filter(**exact), query["limit"], "pk", _represented)

    @extend_schema(operation_id="create_rule", request=RuleSerializer, responses={201: RuleSerializer})
    def post(self, request: Request) -> Response:
        """Create a rule."""
        given = RuleSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            rule = _saved(Rule(), given.validated_data)
            made = _represented(rule)
            change_log.record(request, rule, ADDITION, "Added by the API.", after=made)
        return etags.created(request, made, reverse("api:rule", args=[rule.pk]))


class RuleView(AdministrationView):
    permissions = permissions_on("acl.rule")

    @extend_schema(operation_id="get_rule", responses={200: RuleSerializer, 304: None})
    def get(self, request: Request, rule_id: int) -> Response:
        """Return a rule, with its sentence."""
        return etags.answer(request, _represented(_found(rule_id)))

    @extend_schema(
        operation_id="update_rule", request=RuleSerializer(partial=True), responses={200: RuleSerializer, 412: None}
    )
    def patch(self, request: Request, rule_id: int) -> Response:
        """Change a rule; fields that are left out stay."""
        given = RuleSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            rule = _found(rule_id, is_locked=True)
            now = _represented(rule)
            etags.require_match(request, etags.etag_of(now))
            rule = _saved(rule, now | given.validated_data)
            after = _represented(rule)
            change_log.record(request, rule, CHANGE, "Changed by the API.", before=now, after=after)
        return etags.answer(request, after)

    @extend_schema(operation_id="delete_rule", responses={204: None, 412: None})
    def delete(self, request: Request, rule_id: int) -> Response:
        """Delete a rule: what no other rule allows ends with the next request."""
        with transaction.atomic():
            rule = _found(rule_id, is_locked=True)
            etags.require_match(request, etags.etag_of(_represented(rule)))
            change_log.record(request, rule, DELETION, "Deleted by the API.")
            rule.delete()
        return Response(status=204)


def _found(rule_id: int, *, is_locked: bool = False) -> Rule:
    rows = Rule.objects.select_for_update() if is_locked else Rule.objects.all()
    rule = rows.filter(pk=rule_id).first()
    if rule is None:
        raise NotFound
    return rule


def _saved(rule: Rule, values: Mapping[str, Any]) -> Rule:
    """Save the rule as the admin does. Raises ValidationError with what is wrong with each field."""
    form = RuleForm({**values, "networks": ",".join(values["networks"])}, instance=rule)
    if not form.is_valid():
        raise ValidationError({field: [str(text) for text in texts] for field, texts in form.errors.items()})
    saved: Rule = form.save()
    return saved


def _represented(rule: Rule) -> dict[str, Any]:
    return dict(RuleSerializer(rule).data)
