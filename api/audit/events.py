"""`/api/v1/audit`."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.administration import AdministrationView
from api.json_body import TextField
from api.paging import NumberedQuery, page_of, parameters, rows_page
from audit import queries
from audit.export import values
from audit.kinds import Kind


class EventsQuery(NumberedQuery):
    kind = serializers.ChoiceField(Kind.choices, default=None, allow_null=True)
    account = TextField(
        max_length=128, default=None, allow_null=True, allow_blank=True, help_text="Empty: anonymous, and commands."
    )
    repository = TextField(max_length=255, default=None, allow_null=True, allow_blank=True)
    address = TextField(max_length=64, default=None, allow_null=True, allow_blank=True)
    digest = TextField(
        max_length=140, default=None, allow_null=True, help_text="Its beginning, with the algorithm: `sha256:0f3a`."
    )
    since = serializers.DateTimeField(default=None, allow_null=True)
    until = serializers.DateTimeField(default=None, allow_null=True, help_text="Before this time.")


class EventSerializer(serializers.Serializer[Any]):
    """An event, or `count` alike within a minute."""

    id = serializers.CharField(help_text="A number that JavaScript would round.")
    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(Kind.choices)
    account = serializers.CharField(help_text="Empty: anonymous, or a command.")
    address = serializers.CharField()
    credential = serializers.CharField(help_text="What proved the account.")
    repository = serializers.CharField()
    reference = serializers.CharField(help_text="A tag or digest, or what was changed.")
    digest = serializers.CharField()
    detail = serializers.CharField()
    request_id = serializers.CharField()
    count = serializers.IntegerField()


class EventsView(AdministrationView):
    permissions = {"GET": ("audit.view_event",)}

    @extend_schema(operation_id="list_events", parameters=[EventsQuery], responses=page_of(EventSerializer, "Events"))
    def get(self, request: Request) -> Response:
        """List the events of the audit, newest first."""
        query = parameters(EventsQuery, request)
        limit, after = query.pop("limit"), query.pop("after")
        rows = queries.find(queries.Search(**query))
        return rows_page(request, rows if after is None else rows.filter(pk__lt=after), limit, "pk", values)
