"""What a fetched manifest names and somebody pushes or mounts: the manifest refers to it as to what was fetched."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector import fsck
from distribution.manifests import missing, removal
from distribution.models import Link, Manifest, ManifestChild, Tag, remove
from tests.caller import Caller
from tests.distribution.caching.conftest import make_proxy
from tests.distribution.invariants import broken
from tests.images import digest_of, push_blob, put_manifest
from tests.upstreams.fake import FakeRegistry
from upstreams.models import Proxy

pytestmark = pytest.mark.django_db(transaction=True)

LAYER = b"a layer" * 1000
NAME = "alice/app"


def push(alice: Caller) -> None:
    push_blob(alice, NAME, LAYER)


def mount(alice: Caller) -> None:
    push_blob(alice, "alice/other", LAYER)
    scopes = ["repository:alice/other:pull", "repository:alice/app:pull,push"]
    query = f"mount={digest_of(LAYER)}&from=alice/other"
    assert alice.post(f"/v2/{NAME}/blobs/uploads/?{query}", scopes=scopes).status_code == 201


@pytest.fixture
def fallback(proxy: Proxy, upstream: FakeRegistry) -> Proxy:
    return make_proxy(upstream, prefix="", repositories="*")


@pytest.mark.parametrize("is_proxied", [True, False])
@pytest.mark.parametrize("send", [push, mount])
def test_a_blob_that_is_awaited_is_referenced(
    fallback: Proxy,
    upstream: FakeRegistry,
    alice: Caller,
    disk: Path,
    send: Callable[[Caller], None],
    *,
    is_proxied: bool,
) -> None:
    upstream.add_image(NAME, "v1", LAYER)
    assert alice.get(f"/v2/{NAME}/manifests/v1").status_code == 200
    if not is_proxied:
        Proxy.objects.all().delete()

    send(alice)

    link = Link.objects.get(repository__name=NAME)
    assert [use.manifest.tags.get().name for use in link.uses.all()] == ["v1"]
    assert not link.is_unreferenced
    assert digest_of(LAYER) not in (Manifest.objects.get().missing or "")
    assert broken(disk) == []


def test_a_child_that_is_awaited_is_referenced(
    fallback: Proxy, upstream: FakeRegistry, alice: Caller, disk: Path
) -> None:
    child = upstream.add_image(NAME, "v1", LAYER)
    upstream.add_index(NAME, "all", child)
    assert alice.get(f"/v2/{NAME}/manifests/all").status_code == 200
    for blob in (json.dumps({"os": "linux", "layers": 1}).encode(), LAYER):
        push_blob(alice, NAME, blob)

    assert put_manifest(alice, NAME, digest_of(child), child).status_code == 201

    assert not Manifest.objects.exclude(missing=None).exists()
    assert not Manifest.objects.filter(is_unreferenced=True).exists()
    assert ManifestChild.objects.get().child.digest == digest_of(child)
    assert broken(disk) == []


def test_an_index_that_is_deleted_meanwhile_awaits_nothing(
    fallback: Proxy, upstream: FakeRegistry, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = upstream.add_image(NAME, "v1", LAYER)
    upstream.add_index(NAME, "all", child)
    assert alice.get(f"/v2/{NAME}/manifests/all").status_code == 200
    index = Manifest.objects.get()
    real = missing.awaiting

    def late(*about: Any) -> list[int]:
        """Delete the index as another transaction does before it is locked."""
        found = real(*about)
        if found:
            remove(Tag.objects.filter(manifest=index.pk))
            removal.remove(removal.lock(index.pk, index.repository_id, index.digest), ended_at=None)
        return found

    monkeypatch.setattr(missing, "awaiting", late)
    assert alice.get(f"/v2/{NAME}/manifests/{digest_of(child)}").status_code == 200

    assert [(row.digest, row.is_unreferenced) for row in Manifest.objects.all()] == [(digest_of(child), True)]
    assert list(fsck.check()) == []


def test_what_no_proxy_fetches_any_more_is_a_loss(fallback: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    upstream.add_image(NAME, "v1", LAYER)
    assert alice.get(f"/v2/{NAME}/manifests/v1").status_code == 200
    assert list(fsck.check()) == []

    fallback.enabled = False
    fallback.save()

    (problem,) = fsck.check()
    assert problem.is_loss
    assert digest_of(LAYER) in str(problem)
