"""`PUT /v2/<name>/manifests/<reference>`."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from distribution.models import Link, Manifest, ManifestBlob, Tag
from distribution.protocol import spec
from tests.caller import Caller, Response, error_codes
from tests.distribution.sessions import cut
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest

CONFIG, LAYER = b"{}", b"layer"
IMAGE = manifest(CONFIG, LAYER)
DIGEST = digest_of(IMAGE)
CACHE_LAYER = b"a layer of a cache"
CACHE_CONFIG = b'{"layers": []}'
CACHE_CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"


@pytest.fixture
def blobs(alice: Caller) -> None:
    """Push what IMAGE names to alice/app."""
    push_blob(alice, "alice/app", CONFIG)
    push_blob(alice, "alice/app", LAYER)


def put(caller: Caller, payload: bytes, reference: str = "v1", media_type: str = spec.OCI_MANIFEST) -> Response:
    """Put to alice/app."""
    return caller.put(f"/v2/alice/app/manifests/{reference}", payload, content_type=media_type)


def changed(**fields: Any) -> bytes:
    """Return IMAGE with some fields replaced; None takes one away."""
    body = json.loads(IMAGE) | fields
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()


@pytest.mark.parametrize("reference", ["v1", DIGEST, digest_of(IMAGE, "sha512")])
def test_a_manifest_is_201_with_its_place(alice: Caller, blobs: None, reference: str) -> None:
    digest = reference if ":" in reference else DIGEST

    response = put(alice, IMAGE, reference)

    assert response.status_code == 201
    assert response["Location"] == f"/v2/alice/app/manifests/{digest}"
    assert response["Docker-Content-Digest"] == digest
    assert response["Content-Length"] == "0"
    assert "OCI-Subject" not in response
    assert "OCI-Tag" not in response
    assert alice.get(response["Location"]).content == IMAGE


def test_a_chunked_body_is_a_manifest_too(alice: Caller, blobs: None) -> None:
    response = alice.put("/v2/alice/app/manifests/v1", IMAGE, content_type=spec.OCI_MANIFEST, chunked=True)

    assert response.status_code == 201


def test_a_manifest_put_by_digest_has_no_tag(alice: Caller, blobs: None) -> None:
    put(alice, IMAGE, DIGEST)

    assert not Tag.objects.exists()
    assert Manifest.objects.get().is_unreferenced


def test_a_tag_that_moves_leaves_the_old_manifest_idle(alice: Caller, push: Callable[..., Image]) -> None:
    old, new = push(content=b"old"), push(content=b"new")

    assert alice.get("/v2/alice/app/manifests/v1").content == new.payload
    assert alice.get(f"/v2/alice/app/manifests/{old.digest}").content == old.payload
    assert dict(Manifest.objects.values_list("digest", "is_unreferenced")) == {old.digest: True, new.digest: False}


def test_several_tags_come_with_a_digest(alice: Caller, blobs: None) -> None:
    response = put(alice, IMAGE, f"{DIGEST}?tag=v1&tag=v1.0&tag=latest&tag=v1")

    assert response.status_code == 201
    assert response["OCI-Tag"] == "v1,v1.0,latest"
    assert set(Tag.objects.values_list("name", flat=True)) == {"v1", "v1.0", "latest"}


def test_a_bad_tag_among_several_moves_none(alice: Caller, blobs: None) -> None:
    response = put(alice, IMAGE, f"{DIGEST}?tag=v1&tag=.bad")

    assert response.status_code == 400
    assert error_codes(response) == ["TAG_INVALID"]
    assert not Manifest.objects.exists()


@pytest.mark.parametrize("tag", [".x", "-x", "a" * 129, "a b", "%00", "caf%C3%A9", "v1%0A", "a%2Bb"])
def test_what_is_no_tag_is_400(alice: Caller, blobs: None, tag: str) -> None:
    response = put(alice, IMAGE, tag)

    assert response.status_code in {400, 404}
    assert error_codes(response) in (["TAG_INVALID"], ["NAME_UNKNOWN"])
    assert not Manifest.objects.exists()


def test_a_tag_with_a_plus_is_named_as_it_was_sent(alice: Caller, blobs: None) -> None:
    response = put(alice, IMAGE, f"{DIGEST}?tag=1.0+2")

    assert error_codes(response) == ["TAG_INVALID"]
    assert "'1.0+2'" in response.json()["errors"][0]["detail"]


@pytest.mark.parametrize("tag", ["a", "_", "A.b-c_d", "0", "a" * 128])
def test_what_is_a_tag_is_201(alice: Caller, blobs: None, tag: str) -> None:
    assert put(alice, IMAGE, tag).status_code == 201


def test_another_digest_is_400_with_both(alice: Caller, blobs: None) -> None:
    other = digest_of(b"other")

    response = put(alice, IMAGE, other)

    assert response.status_code == 400
    assert error_codes(response) == ["DIGEST_INVALID"]
    assert response.json()["errors"][0]["detail"] == {"expected": other, "actual": DIGEST}


@pytest.mark.parametrize("reference", ["sha256:abc", "md5:" + "0" * 32, DIGEST.upper()])
def test_what_has_a_colon_and_is_no_digest_is_400(alice: Caller, blobs: None, reference: str) -> None:
    response = put(alice, IMAGE, reference)

    assert error_codes(response) == ["DIGEST_INVALID"]


INVALID = {
    "nothing": b"",
    "no JSON": b"not json",
    "no object": b"[]",
    "not UTF-8": b'{"a":"\xff"}',
    "two values": b"{} {}",
    "nested too deep": b"[" * 5000 + b"]" * 5000,
    "no version": changed(schemaVersion=None),
    "version 1": changed(schemaVersion=1),
    "version true": changed(schemaVersion=True),
    "version in words": changed(schemaVersion="2"),
    "another media type inside": changed(mediaType=spec.DOCKER_MANIFEST),
    "no config": changed(config=None),
    "layers of no list": changed(layers={}),
    "image and index at once": changed(manifests=[]),
    "schema 1": changed(fsLayers=[], schemaVersion=1),
    "a layer that is a string": changed(layers=["x"]),
    "no digest": changed(config={"mediaType": "x/y", "size": 1}),
    "a digest that is none": changed(config={"mediaType": "x/y", "size": 1, "digest": "sha256:xyz"}),
    "a negative size": changed(config=descriptor(CONFIG, size=-1)),
    "a size in words": changed(config=descriptor(CONFIG, size="2")),
    "a size beyond numbers": changed(config=descriptor(CONFIG, size=10**30)),
    "a subject that is a string": changed(subject="sha256:x"),
    "annotations of numbers": changed(annotations={"a": 1}),
    "a NUL": changed(annotations={"a": "\0"}),
    "half a character": changed(annotations={"a": "\ud800"}),
    "a key twice": IMAGE[:-1] + b', "config": {}}',
    "a key in other letters": IMAGE[:-1] + b', "Config": {}}',
    "not a number": IMAGE[:-1] + b', "x": NaN}',
}


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID.keys())
def test_what_is_no_manifest_is_400_and_stored_nowhere(alice: Caller, blobs: None, payload: bytes) -> None:
    response = put(alice, payload)

    assert response.status_code == 400
    assert error_codes(response) == ["MANIFEST_INVALID"]
    assert response.json()["errors"][0]["detail"]
    assert not Manifest.objects.exists()


@pytest.mark.parametrize("media_type", ["text/html", "application/json", spec.DOCKER_MANIFEST, spec.OCI_INDEX, "\x7f"])
def test_a_content_type_that_does_not_fit_is_400(alice: Caller, blobs: None, media_type: str) -> None:
    response = put(alice, IMAGE, media_type=media_type)

    assert error_codes(response) == ["MANIFEST_INVALID"]


@pytest.mark.parametrize("media_type", [spec.OCI_MANIFEST + "; charset=utf-8", spec.OCI_MANIFEST.upper(), ""])
def test_parameters_and_letters_of_a_content_type_do_not_matter(alice: Caller, blobs: None, media_type: str) -> None:
    response = put(alice, IMAGE, media_type=media_type)

    assert response.status_code == 201
    assert alice.head("/v2/alice/app/manifests/v1")["Content-Type"] == spec.OCI_MANIFEST


def test_bytes_without_a_media_type_stay_what_they_were_first(alice: Caller, blobs: None) -> None:
    payload = changed(mediaType=None)
    put(alice, payload)

    response = put(alice, payload, media_type=spec.DOCKER_MANIFEST)

    assert error_codes(response) == ["MANIFEST_INVALID"]
    assert alice.head("/v2/alice/app/manifests/v1")["Content-Type"] == spec.OCI_MANIFEST


@pytest.mark.parametrize("chunked", [False, True])
def test_a_manifest_above_4_mib_is_413(alice: Caller, *, chunked: bool) -> None:
    payload = b" " * (4 * 1024 * 1024 + 1)

    response = alice.put("/v2/alice/app/manifests/v1", payload, content_type=spec.OCI_MANIFEST, chunked=chunked)

    assert response.status_code == 413
    assert error_codes(response) == ["MANIFEST_INVALID"]


def test_less_than_4_mib_is_413_where_the_configuration_says_so(alice: Caller, limit: Callable[..., None]) -> None:
    limit(manifest_size=1024)

    response = put(alice, b" " * 1025)

    assert (response.status_code, error_codes(response)) == (413, ["MANIFEST_INVALID"])
    (error,) = response.json()["errors"]
    assert error["message"] == "a manifest has at most 1.0 KiB here (server.limits.manifest_size)"


def test_a_manifest_of_4_mib_is_taken(alice: Caller, blobs: None) -> None:
    payload = IMAGE + b" " * (4 * 1024 * 1024 - len(IMAGE))

    assert put(alice, payload).status_code == 201


def test_a_body_that_ends_early_is_400(alice: Caller, blobs: None) -> None:
    response = alice.put(
        "/v2/alice/app/manifests/v1",
        IMAGE,
        content_type=spec.OCI_MANIFEST,
        meta=cut(IMAGE, len(IMAGE) + 1),
    )

    assert response.status_code == 400
    assert error_codes(response) == ["SIZE_INVALID"]


def test_every_missing_blob_is_an_error_of_its_own(alice: Caller) -> None:
    push_blob(alice, "alice/app", CONFIG)

    response = put(alice, manifest(CONFIG, b"one", b"two", b"one"))

    assert response.status_code == 400
    assert error_codes(response) == ["MANIFEST_BLOB_UNKNOWN"] * 2
    details = {error["detail"]["digest"] for error in response.json()["errors"]}
    assert details == {digest_of(b"one"), digest_of(b"two")}
    assert not Manifest.objects.exists()


def test_a_blob_of_another_repository_is_missing_here(alice: Caller) -> None:
    push_blob(alice, "alice/other", CONFIG)
    push_blob(alice, "alice/other", LAYER)

    response = put(alice, IMAGE)

    assert error_codes(response) == ["MANIFEST_BLOB_UNKNOWN"] * 2


def test_every_missing_child_is_an_error_of_its_own(alice: Caller, blobs: None) -> None:
    put(alice, IMAGE)

    response = put_manifest(alice, "alice/app", "all", index(IMAGE, b"one", b"two"))

    assert error_codes(response) == ["MANIFEST_BLOB_UNKNOWN"] * 2


def test_a_blob_is_no_child(alice: Caller, blobs: None) -> None:
    response = put_manifest(alice, "alice/app", "all", index(LAYER))

    assert error_codes(response) == ["MANIFEST_BLOB_UNKNOWN"]


@pytest.mark.parametrize(
    "layer",
    [
        descriptor(b"elsewhere", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        descriptor(b"elsewhere", "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
        descriptor(b"elsewhere", urls=["https://example.org/layer"]),
    ],
)
def test_a_layer_that_lies_elsewhere_need_not_be_here(alice: Caller, blobs: None, layer: dict[str, Any]) -> None:
    assert put(alice, changed(layers=[layer])).status_code == 201


def test_a_layer_from_elsewhere_that_came_later_is_held_from_the_next_put_on(alice: Caller, blobs: None) -> None:
    payload = changed(layers=[descriptor(b"elsewhere", urls=["https://example.org/layer"])])
    put(alice, payload)
    digest = push_blob(alice, "alice/app", b"elsewhere")

    put(alice, payload)

    assert ManifestBlob.objects.filter(link__blob__digest=digest).exists()
    assert alice.delete(f"/v2/alice/app/blobs/{digest}").status_code == 409


def test_a_subject_need_not_be_here(alice: Caller, blobs: None) -> None:
    subject = descriptor(b"absent", spec.OCI_MANIFEST)

    response = put(alice, changed(subject=subject))

    assert response.status_code == 201
    assert response["OCI-Subject"] == subject["digest"]


def test_a_repeated_layer_is_one_use(alice: Caller, blobs: None) -> None:
    put(alice, manifest(CONFIG, LAYER, LAYER, CONFIG))

    assert ManifestBlob.objects.count() == 2


@pytest.mark.parametrize("nested", [index(IMAGE), index(), index(IMAGE, IMAGE)])
def test_an_index_may_be_nested_empty_or_repeat_itself(alice: Caller, blobs: None, nested: bytes) -> None:
    put(alice, IMAGE)
    put_manifest(alice, "alice/app", digest_of(nested), nested)

    response = put_manifest(alice, "alice/app", "all", index(nested, IMAGE))

    assert response.status_code == 201


def test_the_same_manifest_again_is_201_and_one_row(alice: Caller, blobs: None) -> None:
    put(alice, IMAGE)

    response = put(alice, IMAGE, "v2")

    assert response.status_code == 201
    assert Manifest.objects.count() == 1
    assert ManifestBlob.objects.count() == 2


def test_pull_is_not_enough(alice: Caller, bob: Caller, blobs: None) -> None:
    assert put(bob, IMAGE).status_code == 401


def buildkit_cache() -> bytes:
    """Return an index as BuildKit before 0.21 exports its cache: no manifests, but layers and a config."""
    return index(manifests=[descriptor(CACHE_LAYER, spec.OCI_LAYER), descriptor(CACHE_CONFIG, CACHE_CONFIG_TYPE)])


def test_the_blobs_that_an_index_of_buildkits_cache_lists_are_referenced(alice: Caller) -> None:
    for content in (CACHE_LAYER, CACHE_CONFIG):
        push_blob(alice, "alice/app", content)

    response = put_manifest(alice, "alice/app", "cache", buildkit_cache())

    assert response.status_code == 201
    assert list(Link.objects.values_list("is_unreferenced", flat=True)) == [False, False]


def test_an_index_that_lists_a_missing_blob_is_404_with_its_digest(alice: Caller) -> None:
    push_blob(alice, "alice/app", CACHE_LAYER)

    response = put_manifest(alice, "alice/app", "cache", buildkit_cache())

    assert error_codes(response) == ["MANIFEST_BLOB_UNKNOWN"]
    assert json.loads(response.content)["errors"][0]["detail"] == {"digest": digest_of(CACHE_CONFIG)}
    assert not Manifest.objects.exists()
