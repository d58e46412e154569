"""One manifest of a tree, checked as far as its own bytes tell."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from core.api.errors import RegistryError
from distribution.protocol import spec
from distribution.protocol.digest import Digest
from distribution.protocol.manifest_parser import Descriptor, ParsedManifest, parse_manifest
from registry_copy.errors import LeftOutError
from registry_copy.source.tree import Tree, data_of


@dataclass(frozen=True, slots=True)
class SourceManifest:
    """A manifest with its bytes, and when it was pushed to the other registry."""

    digest: Digest
    payload: bytes
    parsed: ParsedManifest
    pushed_at: datetime

    @property
    def children(self) -> tuple[str, ...]:
        """The digests of the manifests that it lists, each once."""
        return tuple(dict.fromkeys(str(child.digest) for child in self.parsed.children))

    @property
    def subject(self) -> str | None:
        return str(self.parsed.subject.digest) if self.parsed.subject else None

    def blobs(self) -> Iterator[tuple[Descriptor, bool]]:
        """Yield its blobs, and whether the repository must have each."""
        yield from ((descriptor, True) for descriptor in self.parsed.blobs)
        yield from ((descriptor, False) for descriptor in self.parsed.optional_blobs)


def read(tree: Tree, name: str, digest: Digest) -> SourceManifest:
    """Return a manifest of the repository `name`. Raises LeftOutError."""
    link = tree.revision(name, digest)
    if link is None:
        raise LeftOutError("the repository has no such manifest")
    found = tree.files.read(data_of(digest), spec.MANIFEST_MAX_BYTES + 1)
    if found is None:
        raise LeftOutError("its bytes are missing")
    payload = found.content
    try:
        parsed = parse_manifest(payload, _content_type(payload))
    except RegistryError as error:
        raise LeftOutError(error.message) from error
    if Digest.of(payload, digest.algorithm) != digest:
        raise LeftOutError("its bytes have another digest")
    return SourceManifest(digest, payload, parsed, link.written_at)


def _content_type(payload: bytes) -> str | None:
    """Return the type of a manifest that does not name it: an OCI index if it has manifests, otherwise an image."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("mediaType") or document.get("schemaVersion") == 1:
        return None
    return spec.OCI_INDEX if "manifests" in document else spec.OCI_MANIFEST
