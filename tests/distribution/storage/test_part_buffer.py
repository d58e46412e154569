"""The buffer of a part: in memory for a few streams of a process, otherwise in a temporary file."""

import io
import os
import resource
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django import Settings

from core.api.errors import RegistryError
from distribution.storage import disk_reserve
from distribution.storage.blob_store import BlobStore, new_key
from distribution.storage.cloud import CloudError
from distribution.storage.disk_reserve import Space
from distribution.storage.part_buffer import (
    FIRST_BYTES,
    PARTS_IN_MEMORY,
    SMALL_BYTES,
    Part,
    PartBuffer,
    fill,
    spool_folder,
)
from distribution.storage.s3 import RegistryS3Storage
from distribution.storage.s3_parts import PART_BYTES
from tests.s3.servers import S3Server

MIB = 1024 * 1024


class SlowReader(io.BytesIO):
    """Gives a kibibyte at a time, and knows the largest buffer that it was given."""

    largest = 0

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]
        self.largest = max(self.largest, len(view) + self.tell())
        return super().readinto(view[:1024])


class Watched(io.BytesIO):
    """Knows the most bytes that a buffer held while it was read."""

    buffer: PartBuffer
    largest = 0

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]
        self.largest = max(self.largest, sys.getsizeof(self.buffer._memory))
        return super().readinto(view)


@pytest.fixture
def crowded() -> Iterator[None]:
    """Let other streams have as many parts in memory as there may be."""
    with ExitStack() as streams:
        for _ in range(PARTS_IN_MEMORY):
            streams.enter_context(PartBuffer()).fill(io.BytesIO(bytes(SMALL_BYTES + 1)), PART_BYTES)
        yield


def content_of(part: Part) -> bytes:
    """Return the bytes of a part, which has to have their size and CRC."""
    content = bytes(part.body) if isinstance(part.body, bytearray) else part.body.read()
    assert (part.size, part.crc32) == (len(content), zlib.crc32(content))
    return content


# --- in memory -----------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, FIRST_BYTES, FIRST_BYTES + 1, MIB])
def test_a_part_is_filled_from_many_small_reads(size: int) -> None:
    content = bytes(number % 251 for number in range(size))

    assert fill(SlowReader(content + b"more"), size, bytearray()) == content
    assert fill(SlowReader(content), PART_BYTES, bytearray()) == content


def test_the_buffer_of_a_slow_client_is_at_most_twice_what_it_sent() -> None:
    reader = SlowReader(bytes(500 * 1024))

    with PartBuffer() as buffer:
        part = buffer.fill(reader, PART_BYTES)

    assert isinstance(part.body, bytearray)
    assert reader.largest <= MIB


def test_a_buffer_is_used_again_for_the_next_part() -> None:
    buffer = fill(io.BytesIO(b"a" * 100), 100, bytearray())

    assert fill(io.BytesIO(b"b" * 50), 100, buffer) is buffer
    assert buffer == b"b" * 50


# --- in a file -----------------------------------------------------------------------------------
@pytest.mark.usefixtures("crowded")
@pytest.mark.parametrize(
    "size", [0, 1, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + MIB + 7]
)
def test_every_part_of_a_crowd_has_its_bytes(size: int) -> None:
    content, parts = os.urandom(size), []
    reader = io.BytesIO(content)

    with PartBuffer() as buffer:
        while (part := buffer.fill(reader, PART_BYTES)).size:
            parts.append(content_of(part))

    assert b"".join(parts) == content
    assert all(len(part) == PART_BYTES for part in parts[:-1])


@pytest.mark.usefixtures("crowded")
def test_a_stream_of_a_crowd_holds_little_memory() -> None:
    reader = Watched(bytes(2 * PART_BYTES))

    with PartBuffer() as buffer:
        reader.buffer = buffer
        while buffer.fill(reader, PART_BYTES).size:
            pass

    assert reader.largest <= 2 * SMALL_BYTES


def test_a_part_that_is_larger_than_a_place_is_in_a_file() -> None:
    content = os.urandom(2 * PART_BYTES + 1)

    with PartBuffer() as buffer:
        part = buffer.fill(io.BytesIO(content), 3 * PART_BYTES)

        assert not isinstance(part.body, bytearray)
        assert content_of(part) == content


def test_a_place_that_is_free_again_is_taken_by_the_next_part() -> None:
    reader, kinds = io.BytesIO(bytes(2 * PART_BYTES)), []
    with PartBuffer() as buffer:
        with ExitStack() as streams:
            for _ in range(PARTS_IN_MEMORY):
                streams.enter_context(PartBuffer()).fill(io.BytesIO(bytes(MIB)), PART_BYTES)
            kinds.append(type(buffer.fill(reader, PART_BYTES).body))
        kinds.append(type(buffer.fill(reader, PART_BYTES).body))

    assert kinds == [io.FileIO, bytearray]


def test_a_stream_that_ends_gives_its_place_back() -> None:
    for _ in range(2 * PARTS_IN_MEMORY):
        with PartBuffer() as buffer:
            assert isinstance(buffer.fill(io.BytesIO(bytes(MIB)), PART_BYTES).body, bytearray)


@pytest.mark.usefixtures("crowded")
@pytest.mark.parametrize("size", [MIB, PART_BYTES + MIB])
def test_what_was_in_a_file_is_stored(seaweedfs: S3Server, size: int) -> None:
    bucket = seaweedfs.make_bucket(f"spooled-{size}")
    store, key, content = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket))), new_key(), os.urandom(size)

    store.write(key, io.BytesIO(content))

    with store.open_at(key) as file:
        assert file.read() == content


# --- the folder ----------------------------------------------------------------------------------
@pytest.mark.usefixtures("crowded")
def test_a_full_disk_is_named(seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket("full-spool")
    store, key = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket))), new_key()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PART_BYTES + MIB, hard))
    try:
        store.write(key, io.BytesIO(bytes(PART_BYTES)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
        with pytest.raises(CloudError, match=rf"{tmp_path} can't keep the part .*too large.*TMPDIR"):
            store.write(new_key(), io.BytesIO(bytes(2 * PART_BYTES)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert seaweedfs.keys(bucket) == {key}
    assert seaweedfs.unfinished(bucket) == []
    assert list(tmp_path.iterdir()) == []


def test_the_data_folder_has_the_files_unless_tmpdir_names_another(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = settings.REGISTRY.server.data_directory
    data.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("TMPDIR", raising=False)

    found = [spool_folder()]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found.append(spool_folder())

    assert found == [data, tmp_path]


def test_without_a_data_folder_the_systems_own_has_the_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry = settings.REGISTRY
    settings.REGISTRY = replace(registry, server=replace(registry.server, data_directory=tmp_path / "none"))
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert spool_folder() == tmp_path


@pytest.mark.usefixtures("crowded")
@pytest.mark.parametrize("is_own", [True, False])
def test_a_part_leaves_the_reserve_of_the_registrys_disk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, is_own: bool
) -> None:
    settings.REGISTRY.server.data_directory.mkdir(exist_ok=True)
    full = Space("registry's database", free=0, reserve=10, ballast=0)
    monkeypatch.setattr(disk_reserve, "_of_database", lambda: full)
    monkeypatch.setattr(disk_reserve, "is_on_own_disk", lambda _folder: is_own)

    with PartBuffer() as buffer, pytest.raises(RegistryError) if is_own else nullcontext():
        buffer.fill(io.BytesIO(bytes(2 * SMALL_BYTES)), PART_BYTES)
