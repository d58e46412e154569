"""Databases that can't be written for a while, each for another reason, with a registry on them."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.faults.registry import PATIENCE_SECONDS, Registry

VOLUME_BYTES = 64 << 20


class OnVolume(Registry):
    """A server whose database and blobs share a small disk; its log lies elsewhere."""

    def __init__(self, folder: Path, log_file: Path) -> None:
        super().__init__(folder)
        self.log_file = log_file

    def configuration(self) -> dict[str, object]:
        # No more than the database's ballast: what is free of it is used to the end.
        storage = {"filesystem": {"rootdirectory": str(self.data)}, "min_free": "0"}
        return super().configuration() | {"storage": storage}


@contextmanager
def volume(home: Path) -> Iterator[Path]:
    """Mount a file system that may be filled or turned read-only; leave the test out where that is not allowed."""
    image, folder = home / "image", home / "volume"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(VOLUME_BYTES)
    _run_or_leave_out("mkfs.ext4", "-q", "-m0", "-F", str(image))
    _run_or_leave_out("mount", "-o", "loop,errors=remount-ro", str(image), str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _run_or_leave_out(*command: str) -> None:
    if shutil.which(command[0]) is None:
        leave_out(f"there is no {command[0]}")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        leave_out(f"no file system can be mounted here: {ran.stderr.strip()}")


def leave_out(why: str) -> None:
    """Skip the test, or fail where everything has to be there."""
    if os.environ.get("REGISTRY_REQUIRE_CLIENTS"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@contextmanager
def locked(registry: Registry) -> Iterator[None]:
    """Hold SQLite's lock."""
    with closing(sqlite3.connect(registry.folder / "registry.sqlite3", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def full(registry: Registry) -> Iterator[None]:
    """Let another program take all the space that is free, the database's ballast too."""
    registry.folder.joinpath("registry.sqlite3.ballast").unlink(missing_ok=True)
    with fill(registry):
        yield


@contextmanager
def fill(registry: Registry) -> Iterator[None]:
    """Let another program take all the space that is free."""
    files = [registry.folder / f"another-program-{size}" for size in (1 << 20, 512)]
    for file in files:
        _fill(file, int(file.name.rpartition("-")[2]))
    try:
        yield
    finally:
        for file in files:
            file.unlink()


def _fill(file: Path, piece: int) -> None:
    with file.open("wb", buffering=0) as another:
        try:
            while True:
                another.write(bytes(piece))
        except OSError:
            os.fsync(another.fileno())


@contextmanager
def read_only_for_good(registry: Registry) -> Iterator[None]:
    """Let the file system stop writing, as ext4 does after an I/O error."""
    subprocess.run(["mount", "-o", "remount,abort", registry.folder.parent], capture_output=True, check=False)
    # It notices at the next change of its journal.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _is_written(registry.folder / "another-program"):
        if time.monotonic() > deadline:
            leave_out("the file system does not turn read-only here")
        time.sleep(0.1)
    yield


def _is_written(file: Path) -> bool:
    try:
        file.write_bytes(b"written")
    except OSError:
        return False
    return True


@contextmanager
def read_only_server(registry: Registry) -> Iterator[None]:
    """Let PostgreSQL take no writing transaction, as one that is not the primary any more."""
    _set_read_only(registry, "on")
    try:
        yield
    finally:
        _set_read_only(registry, "off")


def _set_read_only(registry: Registry, value: str) -> None:
    with psycopg.connect(registry.database_url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while shown(registry) != value:
        assert time.monotonic() < deadline, "PostgreSQL does not read its settings"
        time.sleep(0.01)


def shown(registry: Registry) -> str:
    """Return what a new connection finds."""
    with psycopg.connect(registry.database_url) as connection:
        (value,) = connection.execute("SHOW default_transaction_read_only").fetchone() or ("",)
        return str(value)
