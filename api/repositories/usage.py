"""How much a repository is used."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from acl.actions import PUSH
from api import etags
from api.visitor import VisitorView, visitor_of
from distribution.models import Repository
from distribution.usage import quota_figures
from web.usage import usage_of


class DaySerializer(serializers.Serializer[Any]):
    day = serializers.DateField(help_text="In UTC.")
    pulls = serializers.IntegerField()
    pushes = serializers.IntegerField()


class QuotaFigureSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="quota.pk", help_text="Of the quota.")
    sentence = serializers.CharField(source="quota", help_text="The quota in words.")
    counted = serializers.CharField(
        help_text="What counts together: a repository, a namespace with `/`; empty: all repositories of the quota."
    )
    used_bytes = serializers.IntegerField(source="use.bytes", help_text="Of blobs, each once.")
    max_bytes = serializers.IntegerField(source="quota.max_size", allow_null=True, help_text="null: no limit.")
    used_tags = serializers.IntegerField(source="use.tags")
    max_tags = serializers.IntegerField(source="quota.max_tags", allow_null=True, help_text="null: no limit.")


class UsageSerializer(serializers.Serializer[Any]):
    """The last 30 days, counted with a delay of some seconds."""

    days = DaySerializer(many=True, help_text="The oldest first; the last one is today.")
    pulls = serializers.IntegerField(help_text="In these days.")
    pushes = serializers.IntegerField(help_text="In these days.")
    pulled_at = serializers.DateTimeField(allow_null=True, help_text="The last pull; null: none is known.")
    pushed_at = serializers.DateTimeField(allow_null=True, help_text="The last push; null: none is known.")
    size = serializers.IntegerField(allow_null=True, help_text="The bytes of its blobs; null: not added up yet.")
    quotas = QuotaFigureSerializer(
        many=True, help_text="The quotas that hold for it, the fullest first; for those who may push to it."
    )


class UsageView(VisitorView):
    @extend_schema(operation_id="get_usage", responses={200: UsageSerializer, 304: None})
    def get(self, request: Request, name: str) -> Response:
        """Return the pulls and pushes of the last 30 days, by day, and what is used of its quotas."""
        visitor = visitor_of(request)
        parsed, pk = visitor.repository_pk(name)
        found = usage_of(parsed)
        row = Repository.objects.filter(pk=pk).only("pulled_at", "pushed_at", "size").first()
        if row is None:
            raise NotFound
        counts = {"days": found.bars, "pulls": found.pulls, "pushes": found.pushes}
        last = {"pulled_at": row.pulled_at, "pushed_at": row.pushed_at, "size": row.size}
        may_push = PUSH in visitor.rules.actions_on(parsed)
        quotas = quota_figures.of_repository(parsed, visitor.version) if may_push else []
        return etags.answer(request, dict(UsageSerializer(counts | last | {"quotas": quotas}).data))
