"""Events for receivers that know docker-registry: each field that it sends is there, under the same type of content."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.caller import Caller, content
from tests.images import Image, push_blob
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_delivery import deliver
from webhooks import pulls
from webhooks.kinds import CHOSEN
from webhooks.models import Delivery, Webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]

CONTENT_TYPE = "application/vnd.docker.distribution.events.v1+json"
OF_ALL = {
    *("id", "timestamp", "action", "target.repository", "source.addr", "source.instanceID"),
    *("request.id", "request.addr", "request.host", "request.method", "request.useragent"),
}
CONTENT = {"target.digest", "target.mediaType", "target.size", "target.length", "target.url"}
MANIFEST, BLOB = CONTENT | {"target.tag"}, CONTENT
# As docker-registry 2.8.2 sent them; `test_docker_registry` asks it again. `actor` is empty there without a login.
FIELDS: dict[tuple[str, str], set[str]] = {
    ("push", "manifest"): MANIFEST,
    ("pull", "manifest"): MANIFEST,
    ("push", "blob"): BLOB,
    ("pull", "blob"): BLOB,
    ("mount", "blob"): BLOB | {"target.fromRepository"},
    ("delete", "tag"): {"target.tag"},
    ("delete", "digest"): {"target.digest"},
}


def paths(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of each field."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from paths(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def kind_of(event: dict[str, Any]) -> tuple[str, str]:
    target = event["target"]
    if event["action"] == "delete":
        return "delete", "tag" if "tag" in target else "digest"
    return event["action"], "manifest" if "/manifests/" in target["url"] else "blob"


@pytest.fixture
def events(
    make_hook: Callable[..., Webhook], receiver: Receiver, alice: Caller, push: Callable[..., Image]
) -> list[dict[str, Any]]:
    """Do one of everything, and return the events that were received."""
    # As clients send it, unlike that of Django.
    alice.client.defaults["HTTP_HOST"] = "testserver"
    hook = make_hook(events=[kind.value for kind in CHOSEN])
    image = push()
    blob = push_blob(alice, "alice/app", b"another layer")
    alice.get("/v2/alice/app/manifests/v1")
    content(alice.get(f"/v2/alice/app/blobs/{blob}"))
    alice.post(f"/v2/alice/other/blobs/uploads/?mount={blob}")
    alice.delete("/v2/alice/app/manifests/v1")
    alice.delete(f"/v2/alice/app/manifests/{image.digest}")
    alice.delete(f"/v2/alice/app/blobs/{blob}")
    pulls.store()
    assert Delivery.objects.filter(webhook=hook).exists()
    deliver()
    assert {request.headers["content-type"] for request in receiver.accepted} == {CONTENT_TYPE}
    return [request.event for request in receiver.accepted]


def test_each_event_has_every_field_of_docker_registry(events: list[dict[str, Any]]) -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for event in events:
        found.setdefault(kind_of(event), set(paths(event)))

    for kind, fields in FIELDS.items():
        assert OF_ALL | fields | {"actor.name"} <= found[kind], kind


def test_the_values_are_of_the_same_kind(events: list[dict[str, Any]]) -> None:
    event = next(event for event in events if kind_of(event) == ("push", "manifest"))
    target = event["target"]

    assert datetime.fromisoformat(event["timestamp"]).utcoffset() is not None
    assert type(target["size"]) is int
    assert target["length"] == target["size"] > 0
    assert (target["mediaType"], target["tag"]) == ("application/vnd.oci.image.manifest.v1+json", "v1")
    assert target["url"].endswith(f"/v2/alice/app/manifests/{target['digest']}")
    assert (event["request"]["method"], event["actor"]) == ("PUT", {"name": "alice"})
    assert event["source"]["addr"].rpartition(":")[2].isdigit()


def test_a_pull_has_the_size_of_the_whole_although_a_part_was_read(
    make_hook: Callable[..., Webhook], alice: Caller, receiver: Receiver
) -> None:
    make_hook(events=["blob.pull"])
    blob = push_blob(alice, "alice/app", b"0123456789")
    content(alice.get(f"/v2/alice/app/blobs/{blob}", headers={"Range": "bytes=2-4"}))
    pulls.store()

    deliver()

    assert receiver.accepted[0].event["target"]["size"] == 10
