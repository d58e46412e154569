"""Blobs of a series are all different, have the digest that they say, and are framed as docker does."""

import hashlib
import json

import pytest

from bench.content import CHUNK_BYTES, Series, images
from bench.response import Reader


@pytest.mark.parametrize("size", [512, CHUNK_BYTES, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 100])
def test_a_blob_has_the_size_and_the_digest_that_it_says(size: int) -> None:
    series = Series(size, 0)

    for blob in (series.next(), series.next()):
        assert len(blob.content) == blob.size == size
        assert blob.digest == f"sha256:{hashlib.sha256(blob.content).hexdigest()}"


def test_no_two_blobs_of_a_series_are_the_same() -> None:
    series = Series(512, 0)

    assert len({series.next().digest for _ in range(100)}) == 100


@pytest.mark.parametrize("size", [512, CHUNK_BYTES, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 100])
def test_the_chunks_of_a_blob_are_its_bytes(size: int) -> None:
    series = Series(size, 0)
    blob = series.next()
    reader = Reader(keep=True)

    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in series.chunked(blob):
        reader.feed(bytes(part))

    assert reader.is_complete
    assert bytes(reader.response.body) == blob.content


def test_chunks_have_the_size_of_those_of_docker() -> None:
    series = Series(2 * CHUNK_BYTES, 0)

    framed = b"".join(map(bytes, series.chunked(series.next())))

    assert framed.startswith(b"8000\r\n")
    assert framed[6 + CHUNK_BYTES :].startswith(b"\r\n8000\r\n")


def test_two_images_share_nothing() -> None:
    made = images()

    first, second = next(made), next(made)

    digests = {
        first.digest,
        second.digest,
        *(blob.digest for image in (first, second) for blob in (image.config, image.layer)),
    }
    assert len(digests) == 6


def test_the_manifest_of_an_image_names_its_blobs() -> None:
    image = next(images())

    body = json.loads(image.manifest)

    assert [body["config"]["digest"], body["layers"][0]["digest"]] == [image.config.digest, image.layer.digest]
    assert [body["config"]["size"], body["layers"][0]["size"]] == [image.config.size, image.layer.size]
