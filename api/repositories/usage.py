"""How much a repository is used."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api import etags
from api.visitor import VisitorView, visitor_of
from distribution.models import Repository
from web.usage import usage_of


class DaySerializer(serializers.Serializer[Any]):
    day = serializers.DateField(help_text="In UTC.")
    pulls = serializers.IntegerField()
    pushes = serializers.IntegerField()


class UsageSerializer(serializers.Serializer[Any]):
    """The last 30 days, counted with a delay of some seconds."""

    days = DaySerializer(many=True, help_text="The oldest first; the last one is today.")
    pulls = serializers.IntegerField(help_text="In these days.")
    pushes = serializers.IntegerField(help_text="In these days.")
    pulled_at = serializers.DateTimeField(allow_null=True, help_text="The last pull; null: none is known.")
    pushed_at = serializers.DateTimeField(allow_null=True, help_text="The last push; null: none is known.")
    size = serializers.IntegerField(allow_null=True, help_text="The bytes of its blobs; null: not added up yet.")


class UsageView(VisitorView):
    @extend_schema(operation_id="get_usage", responses={200: UsageSerializer, 304: None})
    def get(self, request: Request, name: str) -> Response:
        """Return the pulls and pushes of the last 30 days, by day."""
        parsed, pk = visitor_of(request).repository_pk(name)
        found = usage_of(parsed)
        row = Repository.objects.filter(pk=pk).only("pulled_at", "pushed_at", "size").first()
        if row is None:
            raise NotFound
        counts = {"days": found.bars, "pulls": found.pulls, "pushes": found.pushes}
        last = {"pulled_at": row.pulled_at, "pushed_at": row.pushed_at, "size": row.size}
        return etags.answer(request, dict(UsageSerializer(counts | last).data))
