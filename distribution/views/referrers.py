"""`/v2/<name>/referrers/<digest>`: the referrers of a manifest, as an index."""

from django.http import HttpRequest, HttpResponse, JsonResponse

from distribution import referrers
from distribution.caching.manifests import fetch_referrers
from distribution.protocol.digest import parse_digest
from distribution.protocol.pagination import next_link, page_limit, page_start
from distribution.protocol.spec import FILTERS_APPLIED_HEADER, OCI_INDEX
from distribution.views.repository import PULL, RepositoryView, query_of
from upstreams import compiled


class ReferrersView(RepositoryView):
    """List referrers; an unknown subject or repository has an empty list."""

    actions = {"GET": PULL}

    def get(self, request: HttpRequest, digest: str) -> HttpResponse:
        subject = parse_digest(digest)
        proxy = compiled.of(self.name, self.bearer.version)
        if proxy is not None:
            fetch_referrers(self.name, subject, proxy)
        query = query_of(request)
        limit = page_limit(query)
        # A space is legal in a media type only before a parameter, and Go's `url.Values` writes it as `+`.
        artifact_type = query.get("artifactType", "").replace(";+", "; ") or None
        found, has_more = referrers.page(self.name, subject, artifact_type, limit, page_start(query))
        headers = {}
        if artifact_type is not None:
            headers[FILTERS_APPLIED_HEADER] = "artifactType"
        if has_more and found:
            path = f"/v2/{self.name}/referrers/{subject}"
            headers |= next_link(path, last=found[-1]["digest"], n=limit, artifactType=artifact_type)
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return JsonResponse(body, content_type=OCI_INDEX, headers=headers)
