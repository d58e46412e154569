"""What is pushed and pulled: blobs that are all different and cost next to nothing to make, and images of them."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from distribution.protocol import spec

MEBIBYTE = 1 << 20
CHUNK_BYTES = 32 * 1024
TAIL_BYTES = 16
LAYER_BYTES = 10 * 1024
CONFIG_BYTES = 512


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob: what it shares with the others of its series, then `TAIL_BYTES` of its own."""

    common: memoryview
    tail: bytes
    digest: str

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.common) + len(self.tail)

    @property
    def content(self) -> bytes:
        """All its bytes in one piece."""
        return bytes(self.common) + self.tail


class Series:
    """Blobs of one size that differ at their end, so that the digest of each costs a few bytes of hashing."""

    def __init__(self, size: int, seed: int) -> None:
        """Make what they share, which no filesystem compresses."""
        common = Random(seed).randbytes(size - TAIL_BYTES)
        self._common = memoryview(common)
        self._sha256 = hashlib.sha256(common)
        self._numbers = itertools.count()
        self._chunked = memoryview(_framed(common, size))

    def next(self) -> Blob:
        """Return a blob that was never returned before."""
        tail = b"%0*d" % (TAIL_BYTES, next(self._numbers))
        sha256 = self._sha256.copy()
        sha256.update(tail)
        return Blob(self._common, tail, f"sha256:{sha256.hexdigest()}")

    def chunked(self, blob: Blob) -> tuple[memoryview, memoryview]:
        """Return a blob of this series as chunks of CHUNK_BYTES, as docker sends it."""
        return self._chunked, memoryview(blob.tail + b"\r\n0\r\n\r\n")


def _framed(common: bytes, size: int) -> bytes:
    """Return chunks of `size` bytes together, up to where the tail of each blob begins."""
    starts = range(0, size, CHUNK_BYTES)
    chunks = [common[start : start + CHUNK_BYTES] for start in starts]
    sizes = [min(CHUNK_BYTES, size - start) for start in starts]
    frames = [b"%x\r\n%b\r\n" % (length, chunk) for length, chunk in zip(sizes, chunks, strict=True)]
    return b"".join(frames).removesuffix(b"\r\n")


@dataclass(frozen=True, slots=True)
class Image:
    """A small image: a config, one layer, and the manifest that names them."""

    config: Blob
    layer: Blob
    manifest: bytes

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"


def manifest(config: Blob, *layers: Blob) -> bytes:
    """Return an OCI image manifest."""
    body = {
        "schemaVersion": spec.SCHEMA_VERSION,
        "mediaType": spec.OCI_MANIFEST,
        "config": _descriptor(config, spec.OCI_CONFIG),
        "layers": [_descriptor(layer, spec.OCI_LAYER) for layer in layers],
    }
    return json.dumps(body).encode()


def images() -> Iterator[Image]:
    """Yield images that share no blob; a config has the size of one and is no JSON, as some artifacts' are."""
    configs, layers = Series(CONFIG_BYTES, 1), Series(LAYER_BYTES, 2)
    while True:
        config, layer = configs.next(), layers.next()
        yield Image(config, layer, manifest(config, layer))


def _descriptor(blob: Blob, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
