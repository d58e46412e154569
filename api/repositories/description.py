"""The description of a repository, which its page shows."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import permissions_version
from acl.actions import PUSH
from api import change_log, etags
from api.json_body import TextField
from api.visitor import VisitorView, visitor_of
from audit.kinds import Kind
from distribution.manifests import tag_rights
from distribution.models import Repository
from policies import read_only
from web.description import MAX_BYTES


class DescriptionSerializer(serializers.Serializer[Any]):
    description = TextField(
        allow_blank=True,
        max_length=MAX_BYTES,
        help_text=f"Markdown, at most {MAX_BYTES // 1024} KiB; empty: the page shows that of the image.",
    )

    def validate_description(self, text: str) -> str:
        text = text.replace("\r\n", "\n")
        if len(text.encode()) > MAX_BYTES:
            raise serializers.ValidationError(f"A description has at most {MAX_BYTES // 1024} KiB.")
        return text


class DescriptionView(VisitorView):
    @extend_schema(operation_id="get_description", responses={200: DescriptionSerializer, 304: None})
    def get(self, request: Request, name: str) -> Response:
        """Return the description that was written here."""
        parsed = visitor_of(request).repository(name)
        return etags.answer(request, _represented(Repository.objects.filter(name=parsed).first()))

    @extend_schema(
        operation_id="write_description",
        request=DescriptionSerializer,
        responses={200: DescriptionSerializer, 412: None},
    )
    def put(self, request: Request, name: str) -> Response:
        """Write the description; it needs the right to push."""
        given = DescriptionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        visitor = visitor_of(request)
        parsed = visitor.repository(name, PUSH)
        with change_log.denials_recorded(request, parsed):
            tag_rights.require_whole(visitor.rules, visitor.identity.name, parsed, PUSH)
        read_only.require_writable(parsed, permissions_version.current())
        with transaction.atomic():
            row = Repository.objects.select_for_update().filter(name=parsed).first()
            before = _represented(row)
            etags.require_match(request, etags.etag_of(before))
            text = given.validated_data["description"]
            Repository.objects.filter(name=parsed).update(description=text or None)
        if text != before["description"]:
            change_log.record_content(request, Kind.DESCRIPTION, parsed)
        return Response(given.data, headers={"ETag": etags.etag_of({"description": text})})


def _represented(row: Repository | None) -> dict[str, Any]:
    """Return the JSON. Raises NotFound."""
    if row is None:
        raise NotFound
    return {"description": row.description or ""}
