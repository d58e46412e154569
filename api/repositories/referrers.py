"""The manifests whose subject is a digest: signatures, SBOMs, attestations."""

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import page, page_of, parameters
from api.repositories.serializers import ReferrerSerializer, ReferrersQuery
from api.visitor import VisitorView, visitor_of
from core.api.errors import RegistryError
from distribution import referrers
from distribution.protocol.digest import parse_digest


class ReferrersView(VisitorView):
    @extend_schema(
        operation_id="list_referrers",
        parameters=[ReferrersQuery],
        responses=page_of(ReferrerSerializer, "Referrers"),
    )
    def get(self, request: Request, name: str, digest: str) -> Response:
        """List what refers to a digest, by digest; the digest itself need not be there.

        A page ends early where its descriptors would exceed four megabytes.
        """
        query = parameters(ReferrersQuery, request)
        parsed, _ = visitor_of(request).repository_pk(name)
        try:
            subject = parse_digest(digest)
        except RegistryError as error:
            raise NotFound from error
        found, has_more = referrers.page(parsed, subject, query["artifact_type"], query["limit"], query["after"])
        items = [
            {
                "digest": each["digest"],
                "media_type": each["mediaType"],
                "size": each["size"],
                "artifact_type": each.get("artifactType", ""),
                "annotations": each.get("annotations", {}),
            }
            for each in found
        ]
        return page(request, items, after=found[-1]["digest"] if has_more else None)
