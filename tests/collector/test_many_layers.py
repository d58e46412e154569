"""A manifest of 20,000 layers, nearly as many as its four megabytes hold, through its life."""

import json
from hashlib import sha256

from django.db.models.functions import Now

from distribution.manifests import store
from distribution.models import Blob, Link, Manifest, ManifestBlob, Repository
from distribution.protocol import spec
from tests.caller import Caller, error_codes
from tests.collector.runs import collect, pass_time
from tests.images import descriptor, digest_of, push_blob, put_manifest

MANY = 20_000
PATH = "/v2/alice/app/manifests"


def layer(number: int) -> dict[str, object]:
    encoded = sha256(str(number).encode()).hexdigest()
    return {"mediaType": spec.OCI_LAYER, "digest": f"sha256:{encoded}", "size": 1}


def image_of(layers: list[dict[str, object]]) -> bytes:
    config = descriptor(b"{}", spec.OCI_CONFIG)
    body = {"schemaVersion": 2, "mediaType": spec.OCI_MANIFEST, "config": config, "layers": layers}
    return json.dumps(body, separators=(",", ":")).encode()


def have(alice: Caller, count: int) -> bytes:
    """Have as many blobs in the repository, whose objects are not there, and return an image of them."""
    push_blob(alice, "alice/app", b"{}")
    layers = [layer(number) for number in range(count)]
    blobs = Blob.objects.bulk_create(
        Blob(digest=str(one["digest"]), size=1, key=f"objects/{number}") for number, one in enumerate(layers)
    )
    repository = Repository.objects.get()
    Link.objects.bulk_create(
        Link(repository=repository, blob=blob, last_used_at=Now(), is_unreferenced=True) for blob in blobs
    )
    return image_of(layers)


def test_a_manifest_of_20_000_layers_is_stored_served_and_deleted(alice: Caller) -> None:
    payload = have(alice, MANY)

    assert put_manifest(alice, "alice/app", "v1", payload).status_code == 201

    assert alice.get(f"{PATH}/v1").content == payload
    assert alice.head(f"{PATH}/v1")["Docker-Content-Digest"] == digest_of(payload)
    assert ManifestBlob.objects.count() == MANY + 1
    assert not Link.objects.filter(is_unreferenced=True).exists()
    assert alice.delete(f"{PATH}/{digest_of(payload)}").status_code == 202
    assert not ManifestBlob.objects.exists()
    assert Link.objects.filter(is_unreferenced=True).count() == MANY + 1


def test_many_layers_are_held_by_their_manifest_and_collected_after_it(alice: Caller) -> None:
    payload = have(alice, 1500)
    put_manifest(alice, "alice/app", "v1", payload)
    pass_time()
    collect()
    assert Link.objects.count() == 1501

    alice.delete(f"{PATH}/v1")
    pass_time()
    collect()

    assert not Manifest.objects.exists()
    assert not Link.objects.exists()
    assert not Blob.objects.exists()


def test_one_error_is_listed_for_each_missing_layer_up_to_a_thousand(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"{}")
    few, many = [layer(number) for number in range(store.MISSING_LISTED)], [layer(number) for number in range(MANY)]

    listed = put_manifest(alice, "alice/app", "v1", image_of(few))
    cut = put_manifest(alice, "alice/app", "v1", image_of(many))

    assert error_codes(listed) == ["MANIFEST_BLOB_UNKNOWN"] * 1000
    assert error_codes(cut) == ["MANIFEST_BLOB_UNKNOWN"] * 1001
    assert cut.json()["errors"][-1]["detail"] == "and 19000 more"
