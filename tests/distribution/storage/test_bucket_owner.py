"""A bucket knows its registry: a start with another database is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.server import started
from tests.databases import drop_database, migrated_database
from tests.s3.registry import S3Registry, digest_of
from tests.s3.servers import S3Server

CONTENT = b"a blob of the first registry"


@pytest.fixture
def registry(seaweedfs: S3Server, tmp_path: Path) -> Iterator[S3Registry]:
    """Make a registry that has pushed a blob and ended."""
    registry = S3Registry(tmp_path, seaweedfs, seaweedfs.make_bucket(f"owner-{tmp_path.name.replace('_', '-')}"))
    with started(registry):
        assert registry.push_whole(CONTENT).status == 201
        registry.end()
        yield registry


def owner(registry: S3Registry) -> str:
    """Return the id in the bucket."""
    found = registry.s3.client.get_object(Bucket=registry.bucket, Key="registry-id")["Body"].read()
    return str(found.decode())


def test_a_database_of_another_registry_is_refused_until_it_is_given_the_bucket(
    registry: S3Registry, tmp_path: Path
) -> None:
    first, other = owner(registry), tmp_path / "other"
    other.mkdir()
    right, registry.database_url = registry.database_url, migrated_database(other)
    try:
        with pytest.raises(AssertionError, match=f"{registry.bucket} belongs to another registry: .* says {first}"):
            registry.start()
        assert "Traceback" not in registry.log_file.read_text()
        registry.s3.client.delete_object(Bucket=registry.bucket, Key="registry-id")
        registry.start()
        registry.end()
        assert owner(registry) != first
    finally:
        drop_database(registry.database_url)
        registry.database_url = right
    with pytest.raises(AssertionError, match=rf"says .*, the database .* says {first}"):
        registry.start()


def test_a_sqlite_database_in_another_folder_is_no_new_registry(registry: S3Registry, tmp_path: Path) -> None:
    if not registry.database_url.startswith("sqlite"):
        pytest.skip("it is about the file of SQLite")
    url, moved = registry.database_url, tmp_path / "moved"
    moved.mkdir()
    registry.database_url = f"sqlite:///{moved}/registry.sqlite3"

    with pytest.raises(AssertionError, match=r"Is database.url right, or with SQLite server\.data_directory"):
        registry.start()

    registry.database_url = url
    registry.start()
    assert registry.pull(digest_of(CONTENT)) == digest_of(CONTENT)


def test_a_bucket_of_an_earlier_version_gets_its_owner(registry: S3Registry) -> None:
    before = owner(registry)
    registry.s3.client.delete_object(Bucket=registry.bucket, Key="registry-id")

    registry.start()

    assert owner(registry) == before
