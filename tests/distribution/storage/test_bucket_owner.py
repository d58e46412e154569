"""A bucket knows its registry: a start with another database is refused."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import preloaded
from tests.clients.server import ROOT, started
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


def manage(registry: S3Registry, *words: str) -> tuple[int, str]:
    """Run `manage.py`, and return its status and what it said."""
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    ended = preloaded.run(command, env=registry.environment(), stderr=subprocess.STDOUT, timeout=120)
    assert "Traceback" not in ended.stdout
    return ended.returncode, ended.stdout


def migrate(registry: S3Registry, bucket: str) -> tuple[int, str]:
    """Copy the objects into another bucket."""
    file = registry.folder / "target.yaml"
    file.write_text(yaml.safe_dump({"storage": {"s3": registry.s3.options(bucket)}}))
    return manage(registry, "migratestorage", "--to", str(file))


def give_away(registry: S3Registry, bucket: str) -> None:
    """Let a bucket belong to another registry."""
    registry.s3.client.put_object(Bucket=bucket, Key="registry-id", Body=str(uuid.uuid4()).encode())


def test_fsck_repairs_nothing_in_the_bucket_of_another_registry(registry: S3Registry) -> None:
    (key,) = (key for key in registry.s3.keys(registry.bucket) if key.startswith("objects/"))
    registry.s3.client.delete_object(Bucket=registry.bucket, Key=key)
    registry.s3.client.put_object(Bucket=registry.bucket, Key="objects/00/theirs", Body=b"theirs")
    give_away(registry, registry.bucket)

    status, said = manage(registry, "fsck", "--repair")

    assert (status, "belongs to another registry" in said) == (1, True)
    assert registry.rows("SELECT count(*) FROM distribution_blob WHERE NOT is_corrupt")[0][0] == 1
    assert registry.rows("SELECT count(*) FROM distribution_trash WHERE key = 'objects/00/theirs'")[0][0] == 0


def test_no_copy_goes_into_the_bucket_of_another_registry(registry: S3Registry) -> None:
    theirs = registry.s3.make_bucket(f"theirs-{registry.bucket}")
    give_away(registry, theirs)

    status, said = migrate(registry, theirs)

    assert (status, f"S3 bucket {theirs} at {registry.s3.endpoint} belongs to another registry" in said) == (1, True)
    assert registry.s3.keys(theirs) == {"registry-id"}


def test_a_server_takes_no_copy_of_another_registry(registry: S3Registry) -> None:
    theirs = registry.s3.make_bucket(f"copy-{registry.bucket}")
    mark = {"registry": "another", "database": "sqlite:///theirs"}
    registry.s3.client.put_object(Bucket=theirs, Key="copy.json", Body=json.dumps(mark).encode())
    registry.s3.client.put_object(Bucket=theirs, Key="objects/00/theirs", Body=b"theirs")
    registry.options = registry.s3.options(theirs)

    with pytest.raises(AssertionError, match="the copy of another registry, whose database was sqlite:///theirs"):
        registry.start()

    assert registry.s3.keys(theirs) == {"copy.json", "objects/00/theirs"}


def test_a_server_with_the_old_bucket_is_refused_after_a_move(
    registry: S3Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old, before = registry.s3.make_bucket(f"new-{registry.bucket}"), registry.options, owner(registry)
    status, said = migrate(registry, new)
    assert status == 0, said
    registry.options = registry.s3.options(new)
    with monkeypatch.context() as armed:
        armed.setenv("REG_FAILPOINTS", "start.after_new_id=kill")
        with pytest.raises(AssertionError):
            registry.start()
    is_copy = "copy.json" in registry.s3.keys(new)

    registry.start()
    pulled = registry.pull(digest_of(CONTENT))
    registry.end()
    left = registry.s3.keys(new)
    registry.options = old
    with pytest.raises(AssertionError, match=f"{registry.bucket} belongs to another registry: .* says {before}"):
        registry.start()

    assert is_copy
    assert pulled == digest_of(CONTENT)
    assert {key for key in left if not key.startswith("objects/")} == {"registry-id"}
