"""`/v2/<name>/referrers/<digest>`: what refers to a manifest, as an index."""

from django.http import HttpRequest, HttpResponse, JsonResponse

from distribution import referrers
from distribution.protocol.digest import parse_digest
from distribution.protocol.pagination import next_link, page_limit, page_start
from distribution.protocol.query import media_type_of, parameters
from distribution.protocol.spec import FILTERS_APPLIED_HEADER, OCI_INDEX
from distribution.views.repository import PULL, RepositoryView


class ReferrersView(RepositoryView):
    """List referrers; an unknown subject or repository has none, which is no error."""

    actions = {"GET": PULL}

    def get(self, request: HttpRequest, digest: str) -> HttpResponse:
        """Answer with a page of descriptors."""
        subject = parse_digest(digest)
        query = parameters(request)
        limit = page_limit(query)
        artifact_type = media_type_of(query, "artifactType")
        found, has_more = referrers.page(self.name, subject, artifact_type, limit, page_start(query))
        headers = {}
        if artifact_type is not None:
            headers[FILTERS_APPLIED_HEADER] = "artifactType"
        if has_more and found:
            path = f"/v2/{self.name}/referrers/{subject}"
            headers |= next_link(path, last=found[-1]["digest"], n=limit, artifactType=artifact_type)
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return JsonResponse(body, content_type=OCI_INDEX, headers=headers)
