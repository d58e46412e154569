"""What keeps a manifest, and what doesn't."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.caller import Caller
from tests.collector.runs import DAY, collect, manifests, pass_time
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest

APP = "alice/app"
DEPTH = 12
Push = Callable[..., Image]


def _untag(alice: Caller, tag: str) -> None:
    assert alice.delete(f"/v2/{APP}/manifests/{tag}").status_code == 202


def _put(alice: Caller, payload: bytes, reference: str = "") -> str:
    assert put_manifest(alice, APP, reference or digest_of(payload), payload).status_code == 201
    return digest_of(payload)


def _referrer(alice: Caller, subject: bytes) -> str:
    push_blob(alice, APP, b"{}")
    return _put(alice, manifest(b"{}", subject=descriptor(subject)))


def test_an_untagged_manifest_is_kept_unless_the_run_may_remove_it(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    _untag(alice, "v1")
    pass_time()

    collect(remove_untagged=False)

    assert alice.get(f"/v2/{APP}/manifests/{image.digest}").status_code == 200


def test_an_untagged_manifest_goes_with_its_blobs(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    _untag(alice, "v1")
    pass_time()

    report = collect()

    assert alice.get(f"/v2/{APP}/manifests/{image.digest}").status_code == 404
    assert alice.get(f"/v2/{APP}/blobs/{image.layers[0]}").status_code == 404
    assert (report.total.manifests, report.total.links, report.total.blobs) == (1, 2, 2)


def test_an_untagged_manifest_is_kept_within_the_grace_period(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    pass_time()
    _untag(alice, "v1")
    pass_time(DAY - timedelta(minutes=1))

    collect()

    assert manifests() == {image.digest}


def test_a_tagged_manifest_is_kept(push: Push) -> None:
    image = push(APP, "v1")
    pass_time()

    collect()

    assert manifests() == {image.digest}


def test_a_manifest_with_another_tag_is_kept(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    _put(alice, image.payload, "v2")
    _untag(alice, "v1")
    pass_time()

    collect()

    assert manifests() == {image.digest}


def test_the_old_target_of_a_moved_tag_goes(push: Push) -> None:
    push(APP, "v1", b"old")
    new = push(APP, "v1", b"new")
    pass_time()

    collect()

    assert manifests() == {new.digest}


def test_a_signature_tag_is_a_tag(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    push_blob(alice, APP, b"{}")
    signature = _put(alice, manifest(b"{}"), image.digest.replace(":", "-") + ".sig")
    pass_time()

    collect()

    assert manifests() == {image.digest, signature}


def test_an_untagged_child_of_a_kept_index_is_kept(push: Push, alice: Caller) -> None:
    image = push(APP, "child")
    _put(alice, index(image.payload), "v1")
    _untag(alice, "child")
    pass_time()

    collect()

    assert alice.get(f"/v2/{APP}/manifests/{image.digest}").status_code == 200


def test_children_go_with_nested_indexes_in_the_same_run(push: Push, alice: Caller) -> None:
    image = push(APP, "child")
    inner = index(image.payload)
    _put(alice, inner)
    _put(alice, index(inner), "v1")
    _untag(alice, "child")
    _untag(alice, "v1")
    pass_time()

    report = collect()

    assert manifests() == set()
    assert report.total.manifests == 3


@pytest.mark.parametrize("is_kept", [True, False])
def test_indexes_stay_and_go_however_deep_they_are_nested(push: Push, alice: Caller, is_kept: bool) -> None:
    payload = push(APP, "child").payload
    for _ in range(DEPTH):
        payload = index(payload)
        _put(alice, payload)
    _put(alice, payload, "v1")
    _untag(alice, "child")
    if not is_kept:
        _untag(alice, "v1")
    pass_time()

    collect()

    assert len(manifests()) == (DEPTH + 1 if is_kept else 0)


def test_children_of_an_idle_index_stay_for_its_grace_period(push: Push, alice: Caller) -> None:
    image = push(APP, "child")
    parent = _put(alice, index(image.payload), "v1")
    _untag(alice, "child")
    pass_time()
    _untag(alice, "v1")

    collect()

    assert manifests() == {image.digest, parent}


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_index_that_lists_an_image_and_what_refers_to_it_is_one(push: Push, alice: Caller, is_kept: bool) -> None:
    image = push(APP, "child")
    signature = manifest(b"{}", subject=descriptor(image.payload))
    assert _referrer(alice, image.payload) == digest_of(signature)
    _put(alice, index(image.payload, signature), "v1")
    _untag(alice, "child")
    if not is_kept:
        _untag(alice, "v1")
    pass_time()

    collect()

    assert len(manifests()) == (3 if is_kept else 0)


def test_referrers_of_referrers_stay_and_go_with_the_subject_of_all(push: Push, alice: Caller) -> None:
    payload = push(APP, "v1").payload
    push_blob(alice, APP, b"{}")
    for _ in range(DEPTH):
        payload = manifest(b"{}", subject=descriptor(payload))
        _put(alice, payload)
    pass_time()
    collect()
    assert len(manifests()) == DEPTH + 1
    _untag(alice, "v1")
    pass_time()

    collect()

    assert manifests() == set()


def test_an_index_that_lists_itself_cannot_be_made(alice: Caller) -> None:
    """What names a digest is named later: a parent, a subject or a child of itself is never there in time."""
    payload = index(b"the index that would list this one")

    assert put_manifest(alice, APP, "v1", payload).status_code == 400
    assert manifests() == set()


def test_a_child_in_another_kept_index_is_kept(push: Push, alice: Caller) -> None:
    image = push(APP, "child")
    _put(alice, index(image.payload), "gone")
    kept = _put(alice, index(image.payload, annotations={"a": "b"}), "kept")
    _untag(alice, "child")
    _untag(alice, "gone")
    pass_time()

    collect()

    assert manifests() == {image.digest, kept}


def test_a_child_that_was_used_since_outlives_its_index_for_its_own_grace(push: Push, alice: Caller) -> None:
    image = push(APP, "child")
    _put(alice, index(image.payload), "v1")
    _untag(alice, "child")
    _untag(alice, "v1")
    pass_time()
    assert alice.get(f"/v2/{APP}/manifests/{image.digest}").status_code == 200

    collect()

    assert manifests() == {image.digest}


def test_a_referrer_of_a_kept_subject_is_kept(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    referrer = _referrer(alice, image.payload)
    pass_time()

    collect()

    assert manifests() == {image.digest, referrer}


def test_a_referrer_goes_with_its_subject(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    _referrer(alice, image.payload)
    _untag(alice, "v1")
    pass_time()

    collect()

    assert manifests() == set()


def test_a_referrer_whose_subject_never_comes_goes(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    _referrer(alice, manifest(b"not here"))
    pass_time()

    collect()

    assert manifests() == {image.digest}


def test_a_referrer_whose_subject_came_later_is_kept(push: Push, alice: Caller) -> None:
    push_blob(alice, APP, b"late")
    late = manifest(b"late")
    referrer = _referrer(alice, late)
    subject = _put(alice, late, "v1")
    pass_time()

    collect()

    assert manifests() == {subject, referrer}


def test_a_manifest_that_head_found_is_kept(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    _untag(alice, "v1")
    pass_time()
    assert alice.head(f"/v2/{APP}/manifests/{image.digest}").status_code == 200

    collect()

    assert manifests() == {image.digest}


def test_a_shorter_grace_period_applies_to_what_is_idle_already(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    _untag(alice, "v1")
    pass_time(timedelta(hours=2))
    collect()
    assert manifests()

    collect(grace=timedelta(hours=1))

    assert not manifests()


def test_a_longer_grace_period_applies_to_what_is_idle_already(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    _untag(alice, "v1")
    pass_time()

    collect(grace=3 * DAY)

    assert manifests()
