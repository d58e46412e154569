"""The written statements of the pull path answer what the ORM would."""

from collections.abc import Callable

import pytest

from distribution import queries
from distribution.models import Blob, Link, Manifest, Repository
from distribution.protocol.digest import parse_digest
from distribution.protocol.references import parse_tag
from tests.caller import Caller
from tests.images import Image, digest_of, push_blob


@pytest.fixture
def images(alice: Caller, push: Callable[..., Image]) -> list[Image]:
    """Push several images to several repositories, with blobs and tags in common."""
    images = [push(name, tag, layer) for name in ("alice/a", "alice/b") for tag, layer in (("v1", b"1"), ("v2", b"2"))]
    push_blob(alice, "alice/a", b"only here")
    return images


def test_blobs_are_found_as_the_orm_finds_them(images: list[Image]) -> None:
    for name in ("alice/a", "alice/b", "alice/none", ""):
        for blob in Blob.objects.all():
            link = Link.objects.filter(repository__name=name, blob=blob).first()

            found = queries.blob(name, parse_digest(blob.digest))

            assert (found is None) == (link is None)
            if found is not None:
                assert (found.pk, found.digest, found.size, found.key) == (blob.pk, blob.digest, blob.size, blob.key)


@pytest.mark.parametrize("with_payload", [False, True])
def test_manifests_are_found_as_the_orm_finds_them(images: list[Image], *, with_payload: bool) -> None:
    for name in ("alice/a", "alice/b", "alice/none"):
        for digest in {image.digest for image in images}:
            row = Manifest.objects.filter(repository__name=name, digest=digest).first()
            assert_same(queries.manifest(name, parse_digest(digest), with_payload=with_payload), row, with_payload)
        for tag in ("v1", "v2", "V1", "v3"):
            row = Manifest.objects.filter(repository__name=name, tags__name=tag).first()
            assert_same(queries.manifest(name, parse_tag(tag), with_payload=with_payload), row, with_payload)


def assert_same(found: queries.FoundManifest | None, row: Manifest | None, with_payload: bool) -> None:
    assert (found is None) == (row is None)
    if row is None or found is None:
        return
    payload = bytes(row.payload) if with_payload else b""
    expected = (row.pk, row.digest, row.media_type, row.size, payload)
    assert (found.pk, found.digest, found.media_type, found.size, found.payload) == expected


def test_a_corrupt_blob_is_not_found(images: list[Image]) -> None:
    Blob.objects.update(is_corrupt=True)

    assert queries.blob("alice/a", parse_digest(digest_of(b"1"))) is None


def test_a_repository_exists_from_its_first_push_on(images: list[Image]) -> None:
    assert queries.repository("alice/a") == Repository.objects.get(name="alice/a").pk
    assert queries.repository("alice/A") is None
    assert queries.repository("alice/none") is None
