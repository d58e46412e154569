"""Manifests with all that they refer to, and the tags that name them: what is stored together.

A manifest follows its children and its subject. Both come with it unless the registry has them already, so the
collector never finds the children of an index before the index refers to them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from distribution.protocol.digest import Digest, parse_digest
from registry_copy.errors import LeftOutError
from registry_copy.importing.manifest import SourceManifest

# More in one transaction would keep other writers waiting for too long.
MANIFESTS = 100
TAGS = 500
PAYLOAD_BYTES = 8 * 1024 * 1024
# A copy that is killed begins its batch again.
BLOB_BYTES = 4 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceTag:
    """A tag of the other registry, and when it was moved there."""

    name: str
    digest: str
    moved_at: datetime


@dataclass(slots=True)
class Batch:
    """`manifests` by digest, each after those that it refers to; `failed` are those that can't be read, and why."""

    load: Callable[[Digest], SourceManifest]
    present: Callable[[Collection[str]], set[str]]
    manifests: dict[str, SourceManifest] = field(default_factory=dict)
    tags: list[SourceTag] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    blob_bytes: int = 0
    _here: set[str] = field(default_factory=set)
    _begun: dict[str, SourceManifest] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return (
            len(self.manifests) >= MANIFESTS
            or len(self.tags) >= TAGS
            or self.bytes >= PAYLOAD_BYTES
            or self.blob_bytes >= BLOB_BYTES
        )

    def add(self, root: str) -> None:
        """Add a manifest with all that it refers to, unless it is here or has failed."""
        # No recursion: a chain of subjects may be as long as a repository.
        waiting = [root]
        while waiting:
            digest = waiting[-1]
            manifest = None if self._is_settled(digest) else self._begun.get(digest) or self._loaded(digest)
            if manifest is not None and (others := self._unsettled(manifest)):
                self._begun[digest] = manifest
                waiting += others
                continue
            waiting.pop()
            if manifest is not None:
                self._begun.pop(digest, None)
                self._append(manifest)

    def _append(self, manifest: SourceManifest) -> None:
        self.manifests[str(manifest.digest)] = manifest
        self.bytes += len(manifest.payload)
        self.blob_bytes += sum(descriptor.size for descriptor, _ in manifest.blobs())

    def _is_settled(self, digest: str) -> bool:
        return digest in self.manifests or digest in self._here or digest in self.failed

    def _loaded(self, digest: str) -> SourceManifest | None:
        try:
            return self.load(parse_digest(digest))
        except LeftOutError as error:
            self.failed[digest] = str(error)
            return None

    def _unsettled(self, manifest: SourceManifest) -> list[str]:
        others = [digest for digest in _references(manifest) if not self._is_settled(digest)]
        if others:
            self._here |= self.present(others)
        return [digest for digest in others if digest not in self._here]

    def fail(self, blob_faults: Mapping[str, str], sizes: Mapping[str, int]) -> None:
        """Move the manifests that lack a blob or a child, or tell other `sizes` of their blobs, to `failed`."""
        for digest, manifest in list(self.manifests.items()):
            reason = next(self._faults(manifest, blob_faults, sizes), None)
            if reason is not None:
                self.failed[digest] = reason
                del self.manifests[digest]

    def _faults(
        self, manifest: SourceManifest, blob_faults: Mapping[str, str], sizes: Mapping[str, int]
    ) -> Iterator[str]:
        for descriptor, is_required in manifest.blobs():
            digest = str(descriptor.digest)
            if is_required and digest in blob_faults:
                yield f"it needs blob {digest}: {blob_faults[digest]}"
            size = sizes.get(digest, descriptor.size)
            if descriptor.size not in {0, size}:
                yield f"it needs blob {digest} with {descriptor.size} bytes, which has {size}"
        for child in manifest.children:
            if child in self.failed:
                yield f"it lists manifest {child}: {self.failed[child]}"

    def blobs(self) -> set[str]:
        """Return the digests of the blobs of all manifests."""
        return {str(descriptor.digest) for one in self.manifests.values() for descriptor, _ in one.blobs()}


def _references(manifest: SourceManifest) -> tuple[str, ...]:
    return (*manifest.children, *([manifest.subject] if manifest.subject else []))
