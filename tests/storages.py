"""Storages of registries that tests start: a folder, or a prefix of the bucket on the S3 server of REGISTRY_TEST_S3.

The prefix is the path of the folder, so that whoever shares the folder shares the objects.
"""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

# The endpoint; empty: objects are files.
VARIABLE = "REGISTRY_TEST_S3"
BUCKET = "registry"


def is_s3() -> bool:
    """Return whether objects are in S3."""
    return bool(os.environ.get(VARIABLE))


def section(folder: Path, *, redirects: bool = False) -> dict[str, Any]:
    """Return the section `storage` of a registry's config.yaml."""
    if is_s3():
        return {"s3": {**options(folder), "location": _prefix(folder)}, "redirect": redirects}
    return {"filesystem": {"rootdirectory": str(folder)}}


def blobs(backend: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the alias `blobs` of STORAGES, with its objects below the folder."""
    changed = {**backend["OPTIONS"], "location": _prefix(folder)} if is_s3() else {"location": str(folder)}
    return {**backend, "OPTIONS": changed}


def options(folder: Path) -> dict[str, Any]:
    """Return the options of the S3 server of this run."""
    from tests.s3.servers import options_of

    return options_of(os.environ[VARIABLE], BUCKET)


def objects_of(folder: Path) -> Path:
    """Return the folder of a registry's objects; in S3, what stands in for it: `objects_of(folder) / key`."""
    return cast("Path", _Prefix(_prefix(folder))) if is_s3() else folder


def object_file(key: str) -> Path:
    """Return an object of the registry of the test's own process."""
    from django.core.files.storage import storages

    return objects_of(Path("/", storages["blobs"].location)) / key  # type: ignore[attr-defined]


def copy_objects(source: Path, target: Path) -> None:
    """Copy the objects of one registry in S3 into those of another."""
    for found in objects_of(source).rglob("*"):
        (objects_of(target) / str(found).removeprefix(_prefix(source))).write_bytes(found.read_bytes())


def _prefix(folder: Path) -> str:
    return f"{folder}/".lstrip("/")


@cache
def _client() -> Any:
    from tests.s3.servers import client_of

    return client_of(os.environ[VARIABLE])


class _Prefix:
    """The part of Path that tests use, of an object or of all below a prefix."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __truediv__(self, name: str) -> "_Prefix":
        return _Prefix(f"{self.key.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Prefix) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def relative_to(self, other: "_Prefix") -> str:
        return self.key.removeprefix(f"{other.key.rstrip('/')}/")

    def glob(self, pattern: str) -> Iterator["_Prefix"]:
        return (found for found in self.rglob("*") if fnmatchcase(found.relative_to(self), pattern))

    def rglob(self, _pattern: str) -> Iterator["_Prefix"]:
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.key.rstrip('/')}/")
        return (_Prefix(one["Key"]) for page in pages for one in page.get("Contents", ()))

    def is_file(self) -> bool:
        found = _client().list_objects_v2(Bucket=BUCKET, Prefix=self.key, MaxKeys=1).get("Contents", ())
        return [one["Key"] for one in found] == [self.key]

    exists = is_file

    def stat(self) -> SimpleNamespace:
        if not self.is_file():
            raise FileNotFoundError(self.key)
        return SimpleNamespace(st_size=_client().head_object(Bucket=BUCKET, Key=self.key)["ContentLength"])

    def read_bytes(self) -> bytes:
        if not self.is_file():
            raise FileNotFoundError(self.key)
        return bytes(_client().get_object(Bucket=BUCKET, Key=self.key)["Body"].read())

    def open(self, _mode: str = "rb") -> IO[bytes]:
        return BytesIO(self.read_bytes())

    def write_bytes(self, content: bytes) -> None:
        _client().put_object(Bucket=BUCKET, Key=self.key, Body=content)

    def unlink(self, *, missing_ok: bool = False) -> None:
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(self.key)
        _client().delete_object(Bucket=BUCKET, Key=self.key)

    def mkdir(self, **_options: bool) -> None:
        """Do nothing: S3 has no folders."""

    def touch(self) -> None:
        self.write_bytes(b"")
