"""`/api/v1/repositories`, and one repository."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from acl.actions import DELETE
from acl.names import RepositoryName
from api import change_log, etags
from api.administration import OVERRIDE, override_note
from api.paging import page, page_of, parameters
from api.repositories.serializers import (
    DeletedRepositorySerializer,
    ListedRepositorySerializer,
    RepositoriesQuery,
    RepositorySerializer,
)
from api.visitor import Visitor, VisitorView, visitor_of
from audit.kinds import Kind
from distribution import deletion, repositories
from distribution.manifests import tag_rights
from distribution.models import Repository
from webhooks.origin import Origin


class RepositoriesView(VisitorView):
    @extend_schema(
        operation_id="list_repositories",
        parameters=[RepositoriesQuery],
        responses=page_of(ListedRepositorySerializer, "Repositories"),
    )
    def get(self, request: Request) -> Response:
        """List the repositories that you may pull, by name.

        A search by `contains` reads at most 50,000 names of each range of a rule.
        """
        query, visitor = parameters(RepositoriesQuery, request), visitor_of(request)
        found = repositories.catalog(query["limit"], query["after"], visitor.rules, query["contains"], query["prefix"])
        rows = {row.name: row for row in Repository.objects.filter(name__in=found.names)}
        # A name without a row was removed a moment ago.
        items = [_listed(rows[name], visitor) for name in found.names if name in rows]
        return page(request, items, after=found.names[-1] if found.has_more and found.names else None)


class RepositoryView(VisitorView):
    @extend_schema(operation_id="get_repository", responses={200: RepositorySerializer, 304: None})
    def get(self, request: Request, name: str) -> Response:
        """Return a repository with its counts and sizes."""
        return etags.answer(request, _represented(visitor_of(request), name))

    @extend_schema(
        operation_id="delete_repository", parameters=[OVERRIDE], responses={200: DeletedRepositorySerializer, 412: None}
    )
    def delete(self, request: Request, name: str) -> Response:
        """Delete a repository with all that is in it, and return what that frees; it needs the right to delete."""
        visitor = visitor_of(request)
        parsed = visitor.repository(name, DELETE)
        body = _represented(visitor, name)
        with change_log.denials_recorded(request, parsed):
            tag_rights.require_whole(visitor.rules, visitor.identity.name, parsed)
        note, origin = override_note(request), Origin(request._request)
        expected = etags.expectation(request, lambda: etags.etag_of(_represented(visitor, name)))
        deletion.begin(parsed, expected, is_overridden=bool(note), account=visitor.identity.name, origin=origin)
        change_log.record_content(request, Kind.REPOSITORY_DELETED, parsed, detail=note)
        counts = {key: body[key] for key in ("name", "tags", "manifests", "blobs", "uploads")}
        return Response(counts | {"freed_bytes": body["own_bytes"], "kept_bytes": body["shared_bytes"]})


def _listed(row: Repository, visitor: Visitor) -> dict[str, Any]:
    actions = sorted(visitor.rules.actions_on(row.name))
    return dict(ListedRepositorySerializer({"name": row.name, "actions": actions, "created_at": row.created_at}).data)


def _represented(visitor: Visitor, name: str) -> Mapping[str, Any]:
    row = Repository.objects.filter(name=visitor.repository(name)).first()
    if row is None:
        raise NotFound
    contents = deletion.contents(row.pk)
    facts = {
        "obstacle": visitor.obstacle(RepositoryName(row.name)),
        "keeps_untagged": row.keeps_untagged,
        "tags": contents.tags,
        "manifests": contents.manifests,
        "blobs": contents.links,
        "uploads": contents.uploads,
        "own_bytes": contents.own_bytes,
        "shared_bytes": contents.shared_bytes,
    }
    return _listed(row, visitor) | facts
