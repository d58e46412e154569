"""The manifests of a repository."""

from typing import Any

from django.db.models import Exists, OuterRef
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from acl.actions import DELETE
from api import change_log, etags
from api.administration import OVERRIDE, override_note
from api.paging import page_of, parameters, rows_page
from api.repositories.serializers import ListedManifestSerializer, ManifestSerializer, ManifestsQuery
from api.visitor import VisitorView, visitor_of
from audit.kinds import Kind
from core.api.errors import RegistryError
from distribution.manifests import store
from distribution.manifests.sizes import sizes_of
from distribution.models import Manifest, Tag
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.references import parse_reference
from web.document import document_of
from web.platforms import MAX_PAYLOAD_BYTES, platforms_of_one
from webhooks.origin import Origin

MAX_TAGS = 200


class ManifestsView(VisitorView):
    @extend_schema(
        operation_id="list_manifests",
        parameters=[ManifestsQuery],
        responses=page_of(ListedManifestSerializer, "Manifests"),
    )
    def get(self, request: Request, name: str) -> Response:
        """List the manifests of a repository, by digest."""
        query = parameters(ManifestsQuery, request)
        _, repository = visitor_of(request).repository_pk(name)
        rows = Manifest.objects.filter(repository=repository, digest__gt=query["after"]).order_by("digest")
        if query["artifact_type"]:
            rows = rows.filter(artifact_type=query["artifact_type"])
        if query["tagged"] is not None:
            is_tagged = Exists(Tag.objects.filter(manifest=OuterRef("pk")))
            rows = rows.filter(is_tagged if query["tagged"] else ~is_tagged)
        return rows_page(request, rows.defer("payload", "annotations"), query["limit"], "digest", _listed)


class ManifestView(VisitorView):
    @extend_schema(operation_id="get_manifest", responses={200: ManifestSerializer, 304: None})
    def get(self, request: Request, name: str, reference: str) -> Response:
        """Return the manifest that a digest or tag names."""
        _, repository = visitor_of(request).repository_pk(name)
        row = _found(repository, reference)
        body = _represented(row)
        # The platforms follow from the digest. They are read from the storage, which may not answer.
        return etags.answer(request, body | {"platforms": _platforms(row)}, etags.etag_of(body))

    @extend_schema(operation_id="delete_manifest", parameters=[OVERRIDE], responses={204: None, 409: None, 412: None})
    def delete(self, request: Request, name: str, reference: str) -> Response:
        """Delete a manifest, by its digest, with all its tags; it needs the right to delete.

        A manifest that an index lists is 409: delete the index first.
        """
        visitor = visitor_of(request)
        parsed, repository = visitor.repository_pk(name, DELETE)
        if ":" not in reference:
            raise NotFound("A manifest is deleted by its digest; a tag alone at /-/tags/.")
        digest = _found(repository, reference).digest
        expected = etags.expectation(request, lambda: etags.etag_of(_represented(_found(repository, digest))))
        note = override_note(request)
        with change_log.denials_recorded(request, parsed):
            store.delete(
                parsed,
                parse_digest(digest),
                account=visitor.identity.name,
                rules=visitor.rules,
                expected=expected,
                is_overridden=bool(note),
                origin=Origin(request._request),
            )
        change_log.record_content(request, Kind.MANIFEST_DELETED, parsed, digest=digest, detail=note)
        return Response(status=204)


def _found(repository: int, reference: str) -> Manifest:
    try:
        wanted = parse_reference(reference)
    except RegistryError as error:
        raise NotFound from error
    by = {"digest": str(wanted)} if isinstance(wanted, Digest) else {"tags__name": wanted}
    row = Manifest.objects.filter(repository=repository, **by).first()
    if row is None:
        raise NotFound
    return row


def _facts(row: Manifest) -> dict[str, Any]:
    fields = ("digest", "media_type", "artifact_type", "subject", "pushed_by", "created_at")
    return {name: getattr(row, name) for name in fields} | {"manifest_bytes": row.size}


def _listed(row: Manifest) -> dict[str, Any]:
    return dict(ListedManifestSerializer(_facts(row)).data)


def _platforms(row: Manifest) -> list[str]:
    if row.size > MAX_PAYLOAD_BYTES:
        return []
    return platforms_of_one(row.repository_id, row.media_type, document_of(bytes(row.payload)))


def _represented(row: Manifest) -> dict[str, Any]:
    payload = bytes(row.payload)
    facts = {
        "size": sizes_of([row.pk]).get(row.pk),
        "platforms": [],
        "tags": list(Tag.objects.filter(manifest=row).order_by("name").values_list("name", flat=True)[:MAX_TAGS]),
        "annotations": row.annotations,
        "raw": payload.decode("utf-8", "replace"),
    }
    return dict(ManifestSerializer(_facts(row) | facts).data)
