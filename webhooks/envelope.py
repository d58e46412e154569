"""The body of a request: distribution's notification, or a CloudEvent (structured mode, JSON)."""

import json
import socket
from typing import Any
from urllib.parse import quote

from django.conf import settings

from webhooks.kinds import Envelope, EventKind
from webhooks.models import Delivery

CONTENT_TYPES = {
    # Of docker-registry 2, which receivers compare with; distribution 3 calls the same fields v2.
    Envelope.DISTRIBUTION: "application/vnd.docker.distribution.events.v1+json",
    Envelope.CLOUDEVENTS: "application/cloudevents+json; charset=utf-8",
}
_ACTIONS = {
    EventKind.MANIFEST_PUSH: "push",
    EventKind.TAG_MOVE: "push",
    EventKind.BLOB_PUSH: "push",
    EventKind.BLOB_MOUNT: "mount",
    EventKind.MANIFEST_PULL: "pull",
    EventKind.BLOB_PULL: "pull",
    EventKind.TAG_DELETE: "delete",
    EventKind.MANIFEST_DELETE: "delete",
    EventKind.BLOB_DELETE: "delete",
    EventKind.REPOSITORY_DELETE: "delete",
    EventKind.TEST: "test",
}
TYPE_PREFIX = "registry."


def body_of(delivery: Delivery, envelope: str) -> bytes:
    """Return the body of a request, the same at each attempt."""
    facts = json.loads(delivery.facts)
    made = _distribution(delivery, facts) if envelope == Envelope.DISTRIBUTION else _cloud_event(delivery, facts)
    return json.dumps(made, separators=(",", ":")).encode()


def _distribution(delivery: Delivery, facts: dict[str, Any]) -> dict[str, Any]:
    event = {
        "id": delivery.event_id,
        "timestamp": facts["at"],
        "action": _ACTIONS[EventKind(delivery.kind)],
        "target": _target(delivery, facts),
        "request": facts.get("request", {}),
        "actor": {"name": facts["account"]} if "account" in facts else {},
        "source": {"addr": _address(), "instanceID": settings.REGISTRY.auth.service},
        # Not of distribution: its position among the events of this webhook, which grows within a repository.
        "sequence": delivery.pk,
    }
    return {"events": [event]}


def _target(delivery: Delivery, facts: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = {"repository": delivery.repository}
    names = {"mediaType": "media_type", "size": "size", "length": "size", "digest": "digest", "tag": "tag"}
    target |= {name: facts[fact] for name, fact in names.items() if fact in facts}
    if delivery.kind.startswith("blob."):
        target.setdefault("mediaType", "application/octet-stream")
    if "source" in facts:
        target["fromRepository"] = facts["source"]
    if "base" in facts and "digest" in facts:
        kind = "blobs" if delivery.kind.startswith("blob.") else "manifests"
        target["url"] = f"{facts['base']}/v2/{delivery.repository}/{kind}/{facts['digest']}"
    return target


def _cloud_event(delivery: Delivery, facts: dict[str, Any]) -> dict[str, Any]:
    tag, digest = facts.get("tag", ""), facts.get("digest", "")
    of_repository = f":{tag}" if tag else f"@{digest}" if digest else ""
    data = {"target": _target(delivery, facts), "actor": {"name": facts.get("account", "")}}
    return {
        "specversion": "1.0",
        "id": delivery.event_id,
        "source": facts.get("base") or f"urn:registry:{quote(settings.REGISTRY.auth.service)}",
        "type": f"{TYPE_PREFIX}{delivery.kind}",
        "subject": f"{delivery.repository}{of_repository}",
        "time": facts["at"],
        "datacontenttype": "application/json",
        # The extension of CloudEvents for the order of events: strings that are compared as text.
        "sequence": f"{delivery.pk:020d}",
        "data": data | ({"request": facts["request"]} if "request" in facts else {}),
    }


def _address() -> str:
    return f"{socket.gethostname()}:{settings.REGISTRY.server.port}"
