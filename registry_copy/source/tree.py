"""The tree of distribution's registry, 2.x and 3.x: repositories, links and blobs.

    blobs/<algorithm>/<two digits>/<digits>/data
    repositories/<name>/_layers/<algorithm>/<digits>/link
    repositories/<name>/_manifests/revisions/<algorithm>/<digits>/link
    repositories/<name>/_manifests/tags/<tag>/current/link

A link is a file with a digest. A manifest or blob is in a repository if it is linked there; a deletion removes the link
and leaves its folder. Source: github.com/distribution/distribution, registry/storage/paths.go.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from core.api.errors import RegistryError
from distribution.protocol.digest import ALGORITHMS, Digest, parse_digest
from registry_copy.errors import LeftOutError
from registry_copy.source.files import Files

ROOT = "docker/registry/v2"
# More than the longest digest.
_LINK_BYTES = 200


@dataclass(frozen=True, slots=True)
class Link:
    """What a link file names, and when it was written."""

    digest: Digest
    written_at: datetime


class Tree:
    """The tree in `files`, whose root is the folder `v2`."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def repositories(self) -> Iterator[str]:
        """Yield the name of each repository, parents before what is below them."""
        waiting = [""]
        while waiting:
            name = waiting.pop()
            below = sorted(self.files.folders(f"repositories/{name}".rstrip("/")), reverse=True)
            if name and any(folder in {"_layers", "_manifests"} for folder in below):
                yield name
            waiting += (f"{name}/{folder}".lstrip("/") for folder in below if not folder.startswith("_"))

    def tags(self, name: str) -> Iterator[str]:
        """Yield the folders of tags."""
        return self.files.folders(f"repositories/{name}/_manifests/tags")

    def revisions(self, name: str) -> Iterator[Digest]:
        """Yield the digests of manifests that are or were in the repository."""
        return self._digests(f"repositories/{name}/_manifests/revisions")

    def layers(self, name: str) -> Iterator[Digest]:
        """Yield the digests of blobs that are or were in the repository."""
        return self._digests(f"repositories/{name}/_layers")

    def blobs(self) -> Iterator[Digest]:
        """Yield the digest of each blob and manifest, linked or not."""
        for algorithm in ALGORITHMS:
            for pair in self.files.folders(f"blobs/{algorithm}"):
                yield from self._below(algorithm, f"blobs/{algorithm}/{pair}")

    def _digests(self, path: str) -> Iterator[Digest]:
        for algorithm in ALGORITHMS:
            yield from self._below(algorithm, f"{path}/{algorithm}")

    def _below(self, algorithm: str, path: str) -> Iterator[Digest]:
        for encoded in self.files.folders(path):
            with suppress(RegistryError):
                yield parse_digest(f"{algorithm}:{encoded}")

    def tag(self, name: str, tag: str) -> Link:
        """Return what the tag names. Raises LeftOutError."""
        link = self._link(f"repositories/{name}/_manifests/tags/{tag}/current/link")
        if link is None:
            raise LeftOutError("the tag names nothing: its file current/link is missing")
        return link

    def revision(self, name: str, digest: Digest) -> Link | None:
        """Return the link of a manifest, None when it was deleted or never there. Raises LeftOutError."""
        path = f"repositories/{name}/_manifests/revisions/{digest.algorithm}/{digest.encoded}/link"
        return self._link(path, digest)

    def layer(self, name: str, digest: Digest) -> Link | None:
        """Return the link of a blob, None when it was deleted or never there. Raises LeftOutError."""
        return self._link(f"repositories/{name}/_layers/{digest.algorithm}/{digest.encoded}/link", digest)

    def _link(self, path: str, expected: Digest | None = None) -> Link | None:
        found = self.files.read(path, _LINK_BYTES)
        if found is None:
            return None
        text = found.content.decode(errors="replace").strip()
        try:
            digest = parse_digest(text)
        except RegistryError as error:
            raise LeftOutError(f"its link {path} has {text[:80]!a} instead of a digest") from error
        if expected is not None and digest != expected:
            raise LeftOutError(f"its link {path} has another digest, {digest}")
        return Link(digest, found.modified_at)


def data_of(digest: Digest) -> str:
    """Return the path of a blob's bytes."""
    return f"blobs/{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}/data"
