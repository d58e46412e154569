"""`/api/v1/rules`; a change applies to the next request in every process."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from acl.forms import RuleForm
from acl.models import Rule
from api.administration import permissions_on
from api.paging import page_of, parameters
from api.rows import RowsView
from api.rules.serializers import RuleSerializer, RulesQuery


class _RuleRowsView(RowsView):
    permissions = permissions_on("acl.rule")
    model, serializer, address = Rule, RuleSerializer, "rule"

    def form_of(self, row: Rule, values: Mapping[str, Any]) -> RuleForm:
        return RuleForm({**values, "networks": ",".join(values["networks"])}, instance=row)


class RulesView(_RuleRowsView):
    @extend_schema(operation_id="list_rules", parameters=[RulesQuery], responses=page_of(RuleSerializer, "Rules"))
    def get(self, request: Request) -> Response:
        """List the rules, by id."""
        query = parameters(RulesQuery, request)
        exact = {name: query[name] for name in ("subject_kind", "subject") if query[name] is not None}
        rows = Rule.objects.filter(**exact)
        if query["contains"]:
            rows = rows.filter(name__contains=query["contains"])
        return self.listed(request, query, rows)

    @extend_schema(operation_id="create_rule", request=RuleSerializer, responses={201: RuleSerializer})
    def post(self, request: Request) -> Response:
        """Create a rule."""
        return self.created(request)


class RuleView(_RuleRowsView):
    @extend_schema(operation_id="get_rule", responses={200: RuleSerializer, 304: None})
    def get(self, request: Request, rule_id: int) -> Response:
        """Return a rule, with its sentence."""
        return self.shown(request, rule_id)

    @extend_schema(
        operation_id="update_rule", request=RuleSerializer(partial=True), responses={200: RuleSerializer, 412: None}
    )
    def patch(self, request: Request, rule_id: int) -> Response:
        """Change a rule; fields that are left out stay."""
        return self.changed(request, rule_id)

    @extend_schema(operation_id="delete_rule", responses={204: None, 412: None})
    def delete(self, request: Request, rule_id: int) -> Response:
        """Delete a rule: what no other rule allows ends with the next request."""
        return self.deleted(request, rule_id)
