"""The storage of a registry 2.x as its own files show it, written here file by file."""

import os
from pathlib import Path

from tests.images import digest_of, index, manifest

NAME = "alice/app"


class SourceTree:
    """The storage below `root`; each method writes what a push leaves there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.v2 = root / "docker/registry/v2"
        (self.v2 / "repositories").mkdir(parents=True)

    @classmethod
    def at(cls, root: Path) -> "SourceTree":
        """Return a tree that is there already."""
        tree = cls.__new__(cls)
        tree.root, tree.v2 = root, root / "docker/registry/v2"
        return tree

    def data(self, digest: str) -> Path:
        """Return the file with the bytes of a blob or manifest."""
        algorithm, _, encoded = digest.partition(":")
        return self.v2 / "blobs" / algorithm / encoded[:2] / encoded / "data"

    def store(self, content: bytes, algorithm: str = "sha256") -> str:
        """Store bytes that no repository links, and return their digest."""
        digest = digest_of(content, algorithm)
        _write(self.data(digest), content)
        return digest

    def layer_link(self, digest: str, name: str = NAME) -> Path:
        return self.v2 / "repositories" / name / "_layers" / digest.replace(":", "/") / "link"

    def revision_link(self, digest: str, name: str = NAME) -> Path:
        return self.v2 / "repositories" / name / "_manifests/revisions" / digest.replace(":", "/") / "link"

    def tag_link(self, tag: str, name: str = NAME) -> Path:
        return self.v2 / "repositories" / name / "_manifests/tags" / tag / "current/link"

    def push_blob(self, content: bytes, name: str = NAME, algorithm: str = "sha256") -> str:
        digest = self.store(content, algorithm)
        _write(self.layer_link(digest, name), digest.encode())
        return digest

    def push_manifest(
        self, payload: bytes, *tags: str, name: str = NAME, algorithm: str = "sha256", at: float | None = None
    ) -> str:
        """Store a manifest with its tags, moved at a Unix time."""
        digest = self.store(payload, algorithm)
        _write(self.revision_link(digest, name), digest.encode())
        for tag in tags:
            _write(self.tag_link(tag, name), digest.encode())
            _write(self.tag_link(tag, name).parents[1] / "index" / digest.replace(":", "/") / "link", digest.encode())
            if at is not None:
                os.utime(self.tag_link(tag, name), (at, at))
        return digest

    def push_image(self, layer: bytes, *tags: str, name: str = NAME, **more: object) -> bytes:
        """Push a config, a layer and their manifest, which is returned."""
        config = b'{"of": "' + layer + b'"}'
        for content in (config, layer):
            self.push_blob(content, name)
        payload = manifest(config, layer, **more)
        self.push_manifest(payload, *tags, name=name)
        return payload

    def push_index(self, *manifests: bytes, tags: tuple[str, ...] = (), name: str = NAME) -> bytes:
        payload = index(*manifests)
        self.push_manifest(payload, *tags, name=name)
        return payload

    def files(self) -> dict[str, tuple[bytes, int, int, int]]:
        """Return everything that is there: bytes, mode, owner and time of each file."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (content, status.st_mode, status.st_uid, status.st_mtime_ns)
        return found


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    # As docker-registry leaves it.
    path.chmod(0o644)
