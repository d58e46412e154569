"""A registry process with its blobs in S3: pushes in all patterns of chunks, pulls, faults, memory."""

import os
from collections.abc import Iterator

import pytest

from tests.s3.registry import S3Registry, digest_of, pieces_of
from tests.s3.servers import S3Server

MIB = 1024 * 1024
PATTERNS: dict[str, list[int]] = {
    "3+3": [3 * MIB] * 2,
    "3+20": [3 * MIB, 20 * MIB],
    "20+3": [20 * MIB, 3 * MIB],
    "4x5": [5 * MIB] * 4,
    "9+9": [9 * MIB] * 2,
    "3x10": [10 * MIB] * 3,
    "3x100": [100 * MIB] * 3,
    "one": [7],
    "bytes": [1] * 20,
    "small and large": [1, 6 * MIB, 2 * MIB, 1, 9 * MIB, 4 * MIB],
    "8+8": [8 * MIB] * 2,
    "5-1+5+1": [5 * MIB - 1, 5 * MIB, 1],
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, seaweedfs: S3Server) -> Iterator[S3Registry]:
    """Run a registry for the tests that leave it as it is."""
    registry = S3Registry(tmp_path_factory.mktemp("registry"), seaweedfs, seaweedfs.make_bucket("registry"))
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_blob_is_pushed_in_chunks_and_pulled(registry: S3Registry, pattern: str) -> None:
    sizes = PATTERNS[pattern]
    content = os.urandom(sum(sizes))

    answer = registry.push(pieces_of(content, sizes), digest_of(content))

    assert (answer.status, answer.headers.get("docker-content-digest")) == (201, digest_of(content))
    assert registry.pull(digest_of(content)) == digest_of(content)
    assert registry.s3.unfinished(registry.bucket) == []


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 64 * MIB])
def test_a_blob_is_pushed_in_one_request_and_pulled(registry: S3Registry, size: int) -> None:
    content = os.urandom(size)

    assert registry.push_whole(content).status == 201
    assert registry.pull(digest_of(content)) == digest_of(content)
