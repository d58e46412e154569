"""What keeps a blob, and when its bytes go."""

import json
from collections.abc import Callable
from datetime import timedelta

from django.db.models import F

from distribution.models import Blob, Link, Trash
from tests.caller import Caller
from tests.collector.runs import DAY, collect, pass_time
from tests.collector.storage import objects, objects_named_by_rows
from tests.images import Image, descriptor, digest_of, manifest, push_blob, put_manifest

APP, OTHER = "alice/app", "alice/other"
Push = Callable[..., Image]


def test_a_blob_of_a_kept_manifest_is_kept(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    pass_time()

    report = collect()

    assert alice.head(f"/v2/{APP}/blobs/{image.layers[0]}").status_code == 200
    assert report.repositories == {}


def test_a_blob_that_no_manifest_uses_goes_after_its_grace(alice: Caller) -> None:
    digest = push_blob(alice, APP, b"alone")
    pass_time(DAY - timedelta(minutes=1))
    collect()
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200

    pass_time()
    collect()

    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 404
    assert not Blob.objects.exists()


def test_a_blob_survives_while_another_repository_uses_it(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    assert (
        alice.post(
            f"/v2/{OTHER}/blobs/uploads/?mount={image.layers[0]}&from={APP}",
            scopes=[f"repository:{APP}:pull", f"repository:{OTHER}:pull,push"],
        ).status_code
        == 201
    )
    pass_time()

    report = collect()

    assert alice.head(f"/v2/{APP}/blobs/{image.layers[0]}").status_code == 200
    assert alice.head(f"/v2/{OTHER}/blobs/{image.layers[0]}").status_code == 404
    assert (report.total.links, report.total.blobs, report.total.freed_bytes) == (1, 0, 0)


def test_a_blob_that_head_found_is_there_for_the_manifest_that_follows(alice: Caller) -> None:
    digest = push_blob(alice, APP, b"{}")
    pass_time()
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200

    collect()

    assert put_manifest(alice, APP, "v1", manifest(b"{}")).status_code == 201


def test_a_link_that_head_found_is_there_for_the_manifest_where_the_blob_is_in_use_elsewhere(
    push: Push, alice: Caller
) -> None:
    push(OTHER, "v1", b"shared")
    digest = push_blob(alice, APP, b"shared")
    pass_time()
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200

    collect()

    assert put_manifest(alice, APP, "v1", manifest(b"shared")).status_code == 201


def test_what_head_found_fresh_is_there_for_the_manifest_until_half_of_its_grace(alice: Caller) -> None:
    digest = push_blob(alice, APP, b"{}")
    pass_time(DAY / 2 - timedelta(minutes=1))
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200
    pass_time(DAY / 2)

    collect()

    assert put_manifest(alice, APP, "v1", manifest(b"{}")).status_code == 201


def test_a_blob_pushed_again_is_promised_again(alice: Caller) -> None:
    push_blob(alice, APP, b"twice")
    pass_time()
    digest = push_blob(alice, APP, b"twice")

    collect()

    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200


def test_a_mounted_blob_survives_its_source(alice: Caller) -> None:
    digest = push_blob(alice, APP, b"mounted")
    response = alice.post(
        f"/v2/{OTHER}/blobs/uploads/?mount={digest}&from={APP}",
        scopes=[f"repository:{APP}:pull", f"repository:{OTHER}:pull,push"],
    )
    assert response.status_code == 201
    Link.objects.filter(repository__name=APP).update(last_used_at=F("last_used_at") - 2 * DAY)

    collect()

    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 404
    assert alice.head(f"/v2/{OTHER}/blobs/{digest}").status_code == 200


def test_the_space_of_a_deleted_tag_comes_back(push: Push, alice: Caller) -> None:
    push(APP, "v1", b"space")
    assert alice.delete(f"/v2/{APP}/manifests/v1").status_code == 202
    pass_time()

    collect()
    pass_time()
    collect()

    assert objects() == set()


def test_an_object_outlives_its_blob_by_the_life_of_a_redirect(alice: Caller) -> None:
    push_blob(alice, APP, b"being read")
    pass_time()

    collect()
    collect()

    assert len(objects()) == 1
    assert Trash.objects.count() == 1


def test_stored_objects_are_those_that_rows_name(push: Push, alice: Caller) -> None:
    push(APP, "v1", b"kept")
    push(APP, "v2", b"gone")
    alice.delete(f"/v2/{APP}/manifests/v2")
    push_blob(alice, OTHER, b"kept")
    for _ in range(2):
        pass_time()
        collect()

    assert objects() == objects_named_by_rows()
    assert Blob.objects.count() == 2


def test_a_blob_that_came_after_its_manifest_is_freed_with_it(alice: Caller) -> None:
    """An image may name a layer that lies elsewhere, which somebody pushes here all the same, later."""
    push_blob(alice, APP, b"{}")
    elsewhere = descriptor(b"foreign", "application/vnd.oci.image.layer.nondistributable.v1.tar", urls=["https://x/"])
    payload = manifest(b"{}").replace(b'"layers": []', f'"layers": [{json.dumps(elsewhere)}]'.encode())
    assert put_manifest(alice, APP, "v1", payload).status_code == 201
    push_blob(alice, APP, b"foreign")
    assert put_manifest(alice, APP, "v1", payload).status_code == 201
    alice.delete(f"/v2/{APP}/manifests/{digest_of(payload)}")
    pass_time()

    collect()

    assert not Link.objects.exists()
