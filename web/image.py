"""A manifest with its config, as far as a page shows it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from core.sizes import size_text
from distribution.models import Blob, Manifest, Tag
from distribution.protocol.spec import DOCKER_CONFIG, INDEX_TYPES, OCI_CONFIG
from distribution.storage.blob_store import MissingObjectError, blob_store
from distribution.storage.cloud import CloudError
from web.contents import MAX_PAYLOAD_BYTES, is_signature, platform_of
from web.document import document_of, list_of, object_of, size_of, text_of

# Lists of a page end here.
LISTED = 200
MAX_CONFIG_BYTES = 1024 * 1024
_SECRET = re.compile(r"pass(word|wd|phrase)?|secret|token|credential|api_?key|private|auth", re.IGNORECASE)
MASK = "••••••"


@dataclass(frozen=True, slots=True)
class Part:
    """A descriptor of a manifest: a layer, or a child of an index."""

    digest: str
    media_type: str
    size: int
    made_by: str = ""
    platform: str = ""

    @property
    def size_text(self) -> str:
        return size_text(self.size)


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest or tag about an image: a signature, an SBOM, an attestation."""

    kind: str
    reference: str
    size: int


@dataclass(slots=True)
class Image:
    """A manifest; what it has not is empty."""

    digest: str
    media_type: str
    artifact_type: str
    size: int
    platform: str = ""
    layers: list[Part] = field(default_factory=list)
    children: list[Part] = field(default_factory=list)
    settings: list[tuple[str, list[str]]] = field(default_factory=list)
    annotations: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    referrers: list[Referrer] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    subject: str = ""
    created: str = ""
    raw: str = ""

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


def image_of(row: Manifest) -> Image:
    """Return the image of a manifest's row."""
    document = document_of(bytes(row.payload))
    image = Image(row.digest, row.media_type, row.artifact_type, row.size, subject=row.subject or "")
    image.annotations = _pairs(document.get("annotations"))
    # Indented, deeply nested JSON takes sixty times its bytes.
    image.raw = json.dumps(document, indent=2, ensure_ascii=False) if row.size <= MAX_PAYLOAD_BYTES else ""
    image.tags = list(Tag.objects.filter(manifest=row).order_by("name").values_list("name", flat=True)[:LISTED])
    image.referrers = list(_referrers(row))
    if image.is_index:
        image.children = [_part(entry) for entry in list_of(document.get("manifests"))[:LISTED]]
    else:
        _add_config(image, row, document)
    return image


def _add_config(image: Image, row: Manifest, document: Mapping[str, Any]) -> None:
    """Add the layers, and of an image to run what its config says."""
    descriptor = object_of(document.get("config"))
    config: dict[str, Any] = {}
    if text_of(descriptor.get("mediaType")) in (OCI_CONFIG, DOCKER_CONFIG):
        config = _read(row, text_of(descriptor.get("digest")))
    image.platform, image.created = platform_of(config), text_of(config.get("created"))
    runs = object_of(config.get("config"))
    image.labels = _pairs(runs.get("Labels"))
    image.settings = list(_settings(runs))
    steps = [object_of(step) for step in list_of(config.get("history"))]
    made = iter([text_of(step.get("created_by")) for step in steps if step.get("empty_layer") is not True])
    image.layers = [_part(layer, next(made, "")) for layer in list_of(document.get("layers"))[:LISTED]]


def _read(row: Manifest, digest: str) -> dict[str, Any]:
    """Return the config; empty if it is missing, corrupt or too large to be one."""
    blob = Blob.objects.filter(
        links__repository=row.repository_id, digest=digest, is_corrupt=False, size__lte=MAX_CONFIG_BYTES
    ).first()
    if blob is None:
        return {}
    try:
        with blob_store().open_at(blob.key, 0, blob.size) as file:
            return document_of(file.read(blob.size))
    except (MissingObjectError, CloudError, OSError):
        return {}


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield what a container runs with; values of variables that look like secrets are masked."""
    values = {
        "Entrypoint": [" ".join(map(text_of, list_of(config.get("Entrypoint"))[:LISTED]))],
        "Command": [" ".join(map(text_of, list_of(config.get("Cmd"))[:LISTED]))],
        "User": [text_of(config.get("User"))],
        "Working directory": [text_of(config.get("WorkingDir"))],
        "Ports": sorted(map(text_of, islice(object_of(config.get("ExposedPorts")), LISTED))),
        "Volumes": sorted(map(text_of, islice(object_of(config.get("Volumes")), LISTED))),
        "Environment": [_masked(text_of(line)) for line in list_of(config.get("Env"))[:LISTED]],
    }
    for name, lines in values.items():
        if any(lines):
            yield name, lines


def _masked(line: str) -> str:
    name, separator, value = line.partition("=")
    return f"{name}={MASK}" if separator and value and _SECRET.search(name) else line


def _part(value: object, made_by: str = "") -> Part:
    descriptor = object_of(value)
    return Part(
        text_of(descriptor.get("digest")),
        text_of(descriptor.get("mediaType")),
        size_of(descriptor.get("size")),
        made_by,
        platform_of(descriptor.get("platform")),
    )


def _pairs(value: object) -> list[tuple[str, str]]:
    return sorted((key, text_of(item)) for key, item in islice(object_of(value).items(), LISTED))


def _referrers(row: Manifest) -> Iterator[Referrer]:
    """Yield the manifests whose subject this one is, and the tags of cosign's older scheme."""
    rows = Manifest.objects.filter(repository=row.repository_id, subject=row.digest).order_by("digest")
    for digest, kind, size in rows.values_list("digest", "artifact_type", "size")[:LISTED]:
        yield Referrer("signature" if is_signature(kind) else kind or "manifest", digest, size)
    start = row.digest.replace(":", "-", 1)
    kinds = {f"{start}.sig": "signature", f"{start}.att": "attestation", f"{start}.sbom": "SBOM"}
    tags = Tag.objects.filter(repository=row.repository_id, name__in=kinds).order_by("name")
    for name, size in tags.values_list("name", "manifest__size"):
        yield Referrer(kinds[name], name, size)
