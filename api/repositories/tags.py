"""The tags of a repository."""

from functools import partial
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from acl.actions import DELETE, PUSH
from acl.names import RepositoryName
from api import change_log, etags
from api.administration import OVERRIDE, override_note
from api.paging import page, page_of, parameters
from api.repositories.serializers import TagSerializer, TagsQuery, TargetSerializer
from api.visitor import Visitor, VisitorView, visitor_of
from audit.kinds import Kind
from core.api.errors import RegistryError
from distribution import tags
from distribution.manifests.sizes import sizes_of
from distribution.models import Manifest, Tag, TagMove
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.references import Tag as TagName
from distribution.protocol.references import parse_tag
from webhooks.origin import Origin


class TagsView(VisitorView):
    @extend_schema(operation_id="list_tags", parameters=[TagsQuery], responses=page_of(TagSerializer, "Tags"))
    def get(self, request: Request, name: str) -> Response:
        """List the tags of a repository, by name."""
        query, visitor = parameters(TagsQuery, request), visitor_of(request)
        parsed, repository = visitor.repository_pk(name)
        rows = Tag.objects.filter(repository=repository, name__gt=query["after"]).order_by("name")
        if query["contains"]:
            rows = rows.filter(name__contains=query["contains"])
        found = list(_with_manifest(rows)[: query["limit"] + 1])
        shown = found[: query["limit"]]
        sizes = sizes_of([tag.manifest_id for tag in shown])
        items = [_represented(tag, sizes.get(tag.manifest_id), visitor.obstacle(parsed, tag.name)) for tag in shown]
        return page(request, items, after=shown[-1].name if len(found) > len(shown) else None)


class TagView(VisitorView):
    @extend_schema(operation_id="get_tag", responses={200: TagSerializer, 304: None})
    def get(self, request: Request, name: str, tag: str) -> Response:
        """Return a tag; its `ETag` is its digest."""
        visitor = visitor_of(request)
        return _answer(request, visitor, *visitor.repository_pk(name), tag)

    @extend_schema(
        operation_id="move_tag",
        parameters=[OVERRIDE],
        request=TargetSerializer,
        responses={200: TagSerializer, 201: TagSerializer, 412: None},
    )
    def put(self, request: Request, name: str, tag: str) -> Response:
        """Point a tag at a manifest of the same repository; it needs the right to push.

        With `If-Match` only if the tag still has that digest, with `If-None-Match: *` only if there is no such tag.
        """
        visitor = visitor_of(request)
        target = TargetSerializer(data=request.data)
        target.is_valid(raise_exception=True)
        parsed, repository = visitor.repository_pk(name, PUSH)
        wanted = parsed_tag(tag)
        digest = _digest(target.validated_data["digest"])
        if not Manifest.objects.filter(repository=repository, digest=str(digest)).exists():
            raise ValidationError({"digest": ["The repository has no such manifest."]})
        note = override_note(request)
        before: str | None = None

        def is_expected(now: str | None) -> bool:
            nonlocal before
            before = now
            return _is_expected(request, now)

        account, rules = visitor.identity.name, visitor.rules
        with change_log.denials_recorded(request, parsed):
            tags.point(
                parsed,
                wanted,
                digest,
                account=account,
                rules=rules,
                expected=is_expected,
                is_overridden=bool(note),
                origin=Origin(request._request),
            )
        if before != str(digest):
            _record_move(request, parsed, wanted, str(digest), before, note=note)
        response = _answer(request, visitor, parsed, repository, wanted)
        response.status_code = 200 if before else 201
        return response

    @extend_schema(operation_id="delete_tag", parameters=[OVERRIDE], responses={204: None, 412: None})
    def delete(self, request: Request, name: str, tag: str) -> Response:
        """Delete a tag; its manifest stays. It needs the right to delete."""
        visitor = visitor_of(request)
        parsed, repository = visitor.repository_pk(name, DELETE)
        wanted = _found(repository, tag).name
        note = override_note(request)
        account, rules = visitor.identity.name, visitor.rules
        with change_log.denials_recorded(request, parsed):
            tags.delete(
                parsed,
                wanted,
                account=account,
                rules=rules,
                expected=partial(_is_expected, request),
                is_overridden=bool(note),
                origin=Origin(request._request),
            )
        change_log.record_content(request, Kind.TAG_DELETED, parsed, tag=wanted, detail=note)
        return Response(status=204)


def _is_expected(request: Request, digest: str | None) -> bool:
    """Return whether the client asks for a change of the tag with this digest, None: a new one."""
    return etags.is_match(request, f'"{digest}"' if digest else None)


def _record_move(
    request: Request, name: RepositoryName, tag: TagName, digest: str, before: str | None, *, note: str
) -> None:
    """Record a move, which is a roll back if the tag was at this digest already."""
    was_there = TagMove.objects.filter(repository=name, tag=tag, old_digest=digest).exists()
    kind = Kind.TAG_ROLLED_BACK if was_there else Kind.TAG_PUSHED
    detail = "; ".join(filter(None, [f"from {before}" if before else "", note]))
    change_log.record_content(request, kind, name, tag=tag, digest=digest, detail=detail)


def _with_manifest(rows: Any) -> Any:
    return rows.select_related("manifest").defer("manifest__payload", "manifest__annotations")


def _found(repository: int, tag: str) -> Tag:
    row: Tag | None = _with_manifest(Tag.objects.filter(repository=repository, name=parsed_tag(tag))).first()
    if row is None:
        raise NotFound
    return row


def _answer(request: Request, visitor: Visitor, name: RepositoryName, repository: int, tag: str) -> Response:
    row = _found(repository, tag)
    body = _represented(row, sizes_of([row.manifest_id]).get(row.manifest_id), visitor.obstacle(name, row.name))
    return etags.answer(request, body, f'"{row.manifest.digest}"')


def _represented(tag: Tag, size: int | None, obstacle: str | None) -> dict[str, Any]:
    manifest = {"digest": tag.manifest.digest, "media_type": tag.manifest.media_type, "size": size}
    last = {"updated_at": tag.updated_at, "pushed_by": tag.pushed_by}
    return dict(TagSerializer({"name": tag.name, "obstacle": obstacle} | manifest | last).data)


def parsed_tag(text: str) -> TagName:
    """Return a tag of the path. Raises NotFound: nothing has a name outside the grammar."""
    try:
        return parse_tag(text)
    except RegistryError as error:
        raise NotFound from error


def _digest(text: str) -> Digest:
    try:
        return parse_digest(text)
    except RegistryError as error:
        raise ValidationError({"digest": [str(error.detail)]}) from error
