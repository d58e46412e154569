"""`/v2/<name>/manifests/<reference>`: a manifest, by tag or digest."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from acl.actions import PUSH
from audit.kinds import Kind
from core.api.body import read_whole
from core.api.errors import ErrorCode, RegistryError
from core.sizes import size_text
from distribution import pull, tags
from distribution.manifests import store, tag_rights
from distribution.protocol.digest import Digest
from distribution.protocol.references import parse_reference, parse_tag
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, SUBJECT_HEADER, TAG_HEADER
from distribution.usage import counter
from distribution.views.pull import PullView
from distribution.views.repository import DELETE, PULL, PULL_PUSH, empty, query_of
from webhooks.kinds import EventKind


class ManifestView(PullView):
    """Serve, store and remove a manifest."""

    actions = {"GET": PULL, "HEAD": PULL, "PUT": PULL_PUSH, "DELETE": DELETE}
    pull = staticmethod(pull.manifest)
    pull_event = EventKind.MANIFEST_PULL

    def put(self, request: HttpRequest, reference: str) -> HttpResponse:
        """Store the manifest under a tag, or a digest and the tags of `?tag=`."""
        parsed = parse_reference(reference)
        digest = parsed if isinstance(parsed, Digest) else None
        tag_names = [parse_tag(tag) for tag in dict.fromkeys(query_of(request).getlist("tag"))]
        named = tag_names if isinstance(parsed, Digest) else [parsed, *tag_names]
        identity, rules = self.bearer.identity, self.bearer.rules
        with self.denials_recorded(request):
            # Before the body, and once more where the tags are moved.
            tag_rights.require(rules, identity.name, self.name, PUSH, named)
        limit = settings.REGISTRY.server.limits.manifest_size
        payload = read_whole(request, limit)
        if payload is None:
            message = f"a manifest has at most {size_text(limit)} here (server.limits.manifest_size)"
            raise RegistryError(ErrorCode.MANIFEST_INVALID, {"limit_bytes": limit}, status=413, message=message)
        by: Any = {"account": identity.name, "rules": rules, "version": self.bearer.version}
        content_type, origin = request.META.get("CONTENT_TYPE"), self.origin(request)
        stored = store.put(self.name, payload, content_type, digest, named, origin=origin, **by)
        counter.pushed(self.name)
        for tag in stored.tags:
            self.log_change(request, Kind.TAG_PUSHED, tag=tag, digest=stored.digest)
        if not stored.tags:
            self.log_change(request, Kind.MANIFEST_PUSHED, digest=stored.digest)
        headers = {
            "Location": f"/v2/{self.name}/manifests/{stored.digest}",
            CONTENT_DIGEST_HEADER: stored.digest,
            "Content-Length": "0",
        }
        headers |= stored.room.headers()
        if stored.subject:
            headers[SUBJECT_HEADER] = stored.subject
        if tag_names:
            headers[TAG_HEADER] = ",".join(tag_names)
        return empty(201, headers)

    def delete(self, request: HttpRequest, reference: str) -> HttpResponse:
        """Remove a tag, or a manifest with all its tags."""
        parsed = pull.manifest_reference(self.name, reference)
        account, rules = self.bearer.identity.name, self.bearer.rules
        if isinstance(parsed, Digest):
            with self.denials_recorded(request):
                store.delete(self.name, parsed, account=account, rules=rules, origin=self.origin(request))
            self.log_change(request, Kind.MANIFEST_DELETED, digest=str(parsed))
        else:
            with self.denials_recorded(request):
                tags.delete(self.name, parsed, account=account, rules=rules, origin=self.origin(request))
            self.log_change(request, Kind.TAG_DELETED, tag=parsed)
        return empty(202, {"Content-Length": "0"})
