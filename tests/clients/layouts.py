"""OCI image layouts made here, byte by byte: no network, no daemon, new content each time.

Layout: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

import gzip
import hashlib
import io
import json
import secrets
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Layer:
    """A gzipped tar, and the digest of the tar in it."""

    payload: bytes
    diff_id: str


def digest_of(payload: bytes) -> str:
    """Return `sha256:<hex>` of `payload`."""
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def random_layer(size: int = 2048) -> Layer:
    """Return a layer of one file of `size` random bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = size
        tar.addfile(entry, io.BytesIO(secrets.token_bytes(size)))
    return Layer(gzip.compress(archive.getvalue(), compresslevel=1, mtime=0), digest_of(archive.getvalue()))


class Layout:
    """A folder in the OCI image layout. `reference(tag)` is how skopeo and podman name an image in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def reference(self, tag: str) -> str:
        """Return `oci:<folder>:<tag>`."""
        return f"oci:{self.folder}:{tag}"

    def add(self, payload: bytes, media_type: str) -> dict[str, Any]:
        """Store `payload` and return its descriptor."""
        digest = digest_of(payload)
        (self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(payload)
        return {"mediaType": media_type, "digest": digest, "size": len(payload)}

    def add_image(self, layers: list[Layer], architecture: str = "amd64") -> dict[str, Any]:
        """Store an image of `layers` and return the descriptor of its manifest."""
        platform = {"architecture": architecture, "os": "linux"}
        config = platform | {"rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add(json.dumps(config).encode(), CONFIG),
            "layers": [self.add(layer.payload, LAYER) for layer in layers],
        }
        return self.add(json.dumps(manifest).encode(), MANIFEST) | {"platform": platform}

    def add_index(self, images: list[dict[str, Any]]) -> dict[str, Any]:
        """Store an index of `images` and return its descriptor."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images}
        return self.add(json.dumps(index).encode(), INDEX)

    def tag(self, name: str, descriptor: dict[str, Any]) -> None:
        """Name `descriptor` in index.json, as the only thing there."""
        named = descriptor | {"annotations": {"org.opencontainers.image.ref.name": name}}
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))

    def manifest_digest(self) -> str:
        """Return the digest of what `tag` named."""
        index = json.loads((self.folder / "index.json").read_bytes())
        digest: str = index["manifests"][0]["digest"]
        return digest

    def blobs(self) -> dict[str, bytes]:
        """Return what is stored, by digest."""
        return {f"sha256:{file.name}": file.read_bytes() for file in self.folder.glob("blobs/sha256/*")}


def image(folder: Path, *layers: Layer) -> Layout:
    """Make an image of `layers` (two random ones by default) with the tag `v1`."""
    layout = Layout(folder)
    layout.tag("v1", layout.add_image(list(layers) or [random_layer(), random_layer()]))
    return layout


def multi_arch_image(folder: Path) -> Layout:
    """Make an index of an amd64 and an arm64 image, which share a layer, with the tag `v1`."""
    layout, shared = Layout(folder), random_layer()
    images = [layout.add_image([shared, random_layer()], name) for name in ("amd64", "arm64")]
    layout.tag("v1", layout.add_index(images))
    return layout
