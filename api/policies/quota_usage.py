"""`/api/v1/policies/quotas/<id>/usage`: what is used of a quota."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api.administration import AdministrationView
from api.paging import PageQuery, page, page_of, parameters
from distribution.usage import quota_figures
from policies.models import Quota


class QuotaUsageSerializer(serializers.Serializer[Any]):
    counted = serializers.CharField(
        help_text="What counts together: a repository, or a namespace with `/`; empty: all repositories of the quota."
    )
    used_bytes = serializers.IntegerField(source="use.bytes", help_text="Of blobs, each once.")
    used_tags = serializers.IntegerField(source="use.tags")
    share = serializers.FloatField(help_text="Of the limit that is nearest; 1 is full.")


class QuotaUsageView(AdministrationView):
    permissions = {"GET": ("policies.view_quota",)}

    @extend_schema(
        operation_id="list_quota_usage",
        parameters=[PageQuery],
        responses=page_of(QuotaUsageSerializer, "QuotaUsage"),
    )
    def get(self, request: Request, policy_id: int) -> Response:
        """List what is used now, by what counts together; namespaces and repositories that were pushed to since."""
        query = parameters(PageQuery, request)
        quota = Quota.objects.filter(pk=policy_id).first()
        if quota is None:
            raise NotFound
        found = quota_figures.all_of_quota(quota, query["after"], query["limit"] + 1)
        shown = found[: query["limit"]]
        after = shown[-1].counted if len(found) > len(shown) else None
        return page(request, [dict(QuotaUsageSerializer(figure).data) for figure in shown], after=after)
