"""Pushes of manifests.

PUT …/manifests/<reference>  ──> 201, the manifest's address
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from acl.actions import PUSH
from audit.kinds import Kind
from core.api.body import read_whole
from core.api.errors import ErrorCode, RegistryError
from core.sizes import size_text
from distribution.manifests import store, tag_rights
from distribution.manifests.incoming import Put
from distribution.protocol.digest import Digest
from distribution.protocol.references import parse_reference, parse_tag
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, SUBJECT_HEADER, TAG_HEADER
from distribution.pushes.caller import Caller
from distribution.pushes.pushed import Pushed
from distribution.usage import counter


def put(caller: Caller, reference: str, tags: Sequence[str] = ()) -> Pushed:
    """Store the manifest under a tag, or a digest, and under more `tags`. Raises RegistryError."""
    parsed = parse_reference(reference)
    digest = parsed if isinstance(parsed, Digest) else None
    more = [parse_tag(tag) for tag in dict.fromkeys(tags)]
    named = more if isinstance(parsed, Digest) else [parsed, *more]
    bearer = caller.bearer
    by: Any = {"account": caller.identity.name, "rules": bearer.rules, "version": bearer.version}
    with caller.denials_recorded():
        # Before the body, and once more where the tags are moved.
        tag_rights.require(bearer.rules, caller.identity.name, caller.name, PUSH, named)
    payload, content_type = _payload(caller), caller.request.META.get("CONTENT_TYPE")
    stored = store.put(caller.name, payload, content_type, digest, named, origin=caller.origin, **by)
    counter.pushed(caller.name)
    for tag in stored.tags:
        caller.log_change(Kind.TAG_PUSHED, tag=tag, digest=stored.digest)
    if not stored.tags:
        caller.log_change(Kind.MANIFEST_PUSHED, digest=stored.digest)
    return _created(stored, more)


def _payload(caller: Caller) -> bytes:
    limit = settings.REGISTRY.server.limits.manifest_size
    payload = read_whole(caller.request, limit)
    if payload is None:
        message = f"a manifest has at most {size_text(limit)} here (server.limits.manifest_size)"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, {"limit_bytes": limit}, status=413, message=message)
    return payload


def _created(stored: Put, tags: Sequence[str]) -> Pushed:
    headers = {
        "Location": f"/v2/{stored.name}/manifests/{stored.digest}",
        CONTENT_DIGEST_HEADER: stored.digest,
        "Content-Length": "0",
    }
    headers |= stored.room.headers()
    if stored.subject:
        headers[SUBJECT_HEADER] = stored.subject
    if tags:
        headers[TAG_HEADER] = ",".join(tags)
    return Pushed(201, headers)
