"""How an export is laid out: as the storage of registry 2.x and 3.x, or as OCI image layouts."""

import json
from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, NamedTuple

from distribution.protocol.digest import Digest
from registry_copy.exporting.target import Target
from registry_copy.source.tree import ROOT, data_of

REFERENCE_NAME = "org.opencontainers.image.ref.name"


class TagRow(NamedTuple):
    """A tag, with the type and size of its manifest."""

    name: str
    digest: str
    media_type: str
    size: int
    moved_at: datetime


class Layout(ABC):
    """The files of one repository after the other."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @abstractmethod
    def manifest(self, name: str, digest: Digest, payload: bytes, pushed_at: datetime) -> None:
        """Write a manifest."""

    @abstractmethod
    def blob(self, name: str, digest: Digest, key: str, size: int) -> bool:
        """Write a blob; False when its bytes were there. Raises LeftOutError, MissingObjectError."""

    @abstractmethod
    def tag(self, name: str, tag: TagRow) -> str:
        """Write a tag; return why it stays as it is there, empty if it does not."""

    @abstractmethod
    def finish(self, name: str, untagged: list[dict[str, Any]]) -> None:
        """End a repository; `untagged` are the descriptors of manifests without tags and parents."""


class DistributionLayout(Layout):
    """The tree of `registry_copy.source.tree`."""

    def manifest(self, name: str, digest: Digest, payload: bytes, pushed_at: datetime) -> None:
        self.target.write(f"{ROOT}/{data_of(digest)}", payload)
        self.target.write(f"{self._revision(name, digest)}/link", str(digest).encode(), pushed_at)

    def blob(self, name: str, digest: Digest, key: str, size: int) -> bool:
        is_new = self.target.take(f"{ROOT}/{data_of(digest)}", digest, key, size)
        layers = f"{ROOT}/repositories/{name}/_layers"
        self.target.write(f"{layers}/{digest.algorithm}/{digest.encoded}/link", str(digest).encode())
        return is_new

    def tag(self, name: str, tag: TagRow) -> str:
        digest = Digest(*tag.digest.split(":"))
        if self.target.read(f"{self._revision(name, digest)}/link") is None:
            # Deleted here since its tag was read.
            return ""
        folder, content = f"{ROOT}/repositories/{name}/_manifests/tags/{tag.name}", tag.digest.encode()
        found = self.target.read(f"{folder}/current/link")
        if found is not None and found[0] != content and found[1] > tag.moved_at.timestamp():
            return "it was moved there later"
        self.target.write(f"{folder}/index/{digest.algorithm}/{digest.encoded}/link", content, tag.moved_at)
        self.target.write(f"{folder}/current/link", content, tag.moved_at)
        return ""

    def finish(self, name: str, untagged: list[dict[str, Any]]) -> None:
        """Do nothing."""

    @staticmethod
    def _revision(name: str, digest: Digest) -> str:
        return f"{ROOT}/repositories/{name}/_manifests/revisions/{digest.algorithm}/{digest.encoded}"


class OciLayout(Layout):
    """An OCI image layout for each repository, in a folder `_oci`, which is no name of a repository.

    Source: OCI Image Specification, "Image Layout Specification".
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._named: list[dict[str, Any]] = []

    def manifest(self, name: str, digest: Digest, payload: bytes, pushed_at: datetime) -> None:
        self.target.write(_oci(name, digest), payload)

    def blob(self, name: str, digest: Digest, key: str, size: int) -> bool:
        return self.target.take(_oci(name, digest), digest, key, size)

    def tag(self, name: str, tag: TagRow) -> str:
        if self.target.read(_oci(name, Digest(*tag.digest.split(":")))) is not None:
            described = {"mediaType": tag.media_type, "digest": tag.digest, "size": tag.size}
            self._named.append(described | {"annotations": {REFERENCE_NAME: tag.name}})
        return ""

    def finish(self, name: str, untagged: list[dict[str, Any]]) -> None:
        index = {"schemaVersion": 2, "manifests": [*self._named, *untagged]}
        self.target.write(f"{name}/_oci/index.json", json.dumps(index, indent=1).encode())
        self.target.write(f"{name}/_oci/oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        self._named = []


def _oci(name: str, digest: Digest) -> str:
    return f"{name}/_oci/blobs/{digest.algorithm}/{digest.encoded}"
