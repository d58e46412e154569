"""`/v2/<name>/manifests/<reference>`: a manifest, by tag or digest."""

from django.http import HttpRequest, HttpResponse

from audit.kinds import Kind
from distribution import pull, tags
from distribution.manifests import store
from distribution.protocol.digest import Digest
from distribution.pushes import manifest
from distribution.views.pull import PullView
from distribution.views.repository import DELETE, PULL, PULL_PUSH, empty, push_response, query_of
from webhooks.kinds import EventKind


class ManifestView(PullView):
    """Serve, store and remove a manifest."""

    actions = {"GET": PULL, "HEAD": PULL, "PUT": PULL_PUSH, "DELETE": DELETE}
    pull = staticmethod(pull.manifest)
    pull_event = EventKind.MANIFEST_PULL

    def put(self, request: HttpRequest, reference: str) -> HttpResponse:
        """Store the manifest under a tag, or a digest and the tags of `?tag=`."""
        return push_response(manifest.put(self.caller, reference, query_of(request).getlist("tag")))

    def delete(self, _request: HttpRequest, reference: str) -> HttpResponse:
        """Remove a tag, or a manifest with all its tags."""
        parsed = pull.manifest_reference(self.name, reference)
        account, rules = self.bearer.identity.name, self.bearer.rules
        if isinstance(parsed, Digest):
            with self.caller.denials_recorded():
                store.delete(self.name, parsed, account=account, rules=rules, origin=self.caller.origin)
            self.caller.log_change(Kind.MANIFEST_DELETED, digest=str(parsed))
        else:
            with self.caller.denials_recorded():
                tags.delete(self.name, parsed, account=account, rules=rules, origin=self.caller.origin)
            self.caller.log_change(Kind.TAG_DELETED, tag=parsed)
        return empty(202, {"Content-Length": "0"})
