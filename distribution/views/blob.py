"""`/v2/<name>/blobs/<digest>`: serve and delete a blob."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from audit.kinds import Kind
from distribution import blobs, pull
from distribution.caching import blobs as caching
from distribution.manifests import tag_rights
from distribution.protocol.digest import parse_digest
from distribution.pull import Pulled
from distribution.views.pull import PullView
from distribution.views.repository import DELETE, PULL, PULL_PUSH, empty
from upstreams.models import Proxy
from webhooks.kinds import EventKind


class BlobView(PullView):
    actions = {"GET": PULL, "HEAD": PULL, "DELETE": DELETE}
    # oras-py keeps the token of its first challenge, which is this HEAD, for the push that follows.
    challenged = {"HEAD": PULL_PUSH}
    pull = staticmethod(pull.blob)
    pull_event = EventKind.BLOB_PULL

    def pull_through(self, text: str, method: str, meta: Mapping[str, Any], proxy: Proxy) -> Pulled:
        return caching.blob(self.name, text, method, meta, proxy)

    def delete(self, request: HttpRequest, digest: str) -> HttpResponse:
        parsed = parse_digest(digest)
        with self.denials_recorded(request):
            tag_rights.require_whole(self.bearer.rules, self.bearer.identity.name, self.name)
        blobs.delete(self.name, parsed, account=self.bearer.identity.name, origin=self.origin(request))
        self.log_change(request, Kind.BLOB_DELETED, digest=str(parsed))
        return empty(202, {"Content-Length": "0"})
