"""A manifest with its config, as far as a page shows it."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.sizes import size_text
from distribution.models import Manifest, Tag
from distribution.protocol.spec import INDEX_TYPES
from web import stored
from web.document import document_of, list_of, object_of, size_of, text_of
from web.image.config import LISTED, pairs_of, settings_of
from web.image.kinds import HELM_CONFIG, Kind, kind_of
from web.image.steps import Layer, Step, layers_of, steps_of
from web.platforms import IMAGE_CONFIGS, platform_of

MAX_CONFIG_BYTES = 1024 * 1024
# A larger manifest is not shown as JSON: indented, deeply nested JSON takes sixty times its bytes.
MAX_RAW_BYTES = 64 * 1024
# BuildKit puts an attestation into the index beside the image that it is about.
_ABOUT = "vnd.docker.reference.digest"
_ADDRESSABLE = re.compile(r"[a-z0-9][a-z0-9./_-]{0,100}")
_CHART_FACTS = {
    "name": "Chart",
    "version": "Version",
    "appVersion": "App version",
    "description": "Description",
    "type": "Type",
    "kubeVersion": "Kubernetes",
    "home": "Home",
}


@dataclass(frozen=True, slots=True)
class Child:
    """An entry of an index; `about` is the digest of the image that it attests, `key` names it in an address."""

    digest: str
    media_type: str
    size: int
    platform: str
    about: str
    key: str = ""

    @property
    def size_text(self) -> str:
        return size_text(self.size)


@dataclass(slots=True)
class Image:
    """A manifest; what it has not is empty."""

    digest: str
    media_type: str
    artifact_type: str
    kind: Kind
    size: int
    platform: str = ""
    layers: list[Layer] = field(default_factory=list)
    layer_count: int = 0
    steps: list[Step] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    child_count: int = 0
    settings: list[tuple[str, list[str]]] = field(default_factory=list)
    annotations: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    chart: list[tuple[str, str]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    subject: str = ""
    created: str = ""
    raw: str = ""
    problem: str = ""

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES

    @property
    def more_layers(self) -> int:
        """Return how many layers are not listed."""
        return self.layer_count - len(self.layers)

    @property
    def more_children(self) -> int:
        """Return how many entries of an index are not listed."""
        return self.child_count - len(self.children)

    @property
    def platforms(self) -> list[Child]:
        """Return the children but for attestations of others."""
        return [child for child in self.children if not child.about]

    @property
    def attestations(self) -> dict[str, str]:
        """Return the digest of each attestation among the children with the digest of what it is about."""
        return {child.digest: child.about for child in self.children if child.about}

    @property
    def chart_version(self) -> str:
        return dict(self.chart).get("Version", "")


def image_of(row: Manifest) -> Image:
    """Return the image of a manifest's row, without what its config says."""
    document = document_of(bytes(row.payload))
    kind = kind_of(row.media_type, row.artifact_type, document)
    image = Image(row.digest, row.media_type, row.artifact_type, kind, row.size, subject=row.subject or "")
    image.annotations = pairs_of(document.get("annotations"))
    image.raw = json.dumps(document, indent=2, ensure_ascii=False) if row.size <= MAX_RAW_BYTES else ""
    # Unsorted: a manifest may have 100,000 tags.
    image.tags = sorted(Tag.objects.filter(manifest=row).values_list("name", flat=True)[:LISTED])
    if image.is_index:
        image.children, image.child_count = _children(document), len(list_of(document.get("manifests")))
    else:
        image.layers, image.layer_count = layers_of(document), len(list_of(document.get("layers")))
    return image


def add_config(image: Image, row: Manifest) -> None:
    """Add what the config says, that of an image to run or of a chart; it is read from the storage."""
    document = document_of(bytes(row.payload))
    config: dict[str, Any] = {}
    try:
        config = config_of(row, document)
    except stored.UnreadableError as error:
        image.problem = str(error)
    if text_of(object_of(document.get("config")).get("mediaType")) == HELM_CONFIG:
        image.chart = [(title, text) for key, title in _CHART_FACTS.items() if (text := text_of(config.get(key)))]
        config = {}
    image.platform, image.created = platform_of(config), text_of(config.get("created"))
    runs = object_of(config.get("config"))
    image.labels = pairs_of(runs.get("Labels"))
    image.settings = list(settings_of(runs))
    image.steps = list(steps_of(image.layers, config))


def config_of(row: Manifest, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of an image or chart; empty for another artifact. Raises UnreadableError."""
    descriptor = object_of(document.get("config"))
    if text_of(descriptor.get("mediaType")) not in (*IMAGE_CONFIGS, HELM_CONFIG):
        return {}
    return stored.parse(stored.read(row.repository_id, text_of(descriptor.get("digest")), MAX_CONFIG_BYTES))


def _children(index: Mapping[str, Any]) -> list[Child]:
    entries = [object_of(entry) for entry in list_of(index.get("manifests"))[:LISTED]]
    platforms = [platform_of(entry.get("platform")) for entry in entries]
    named = Counter(platforms)
    return [
        Child(
            digest := text_of(entry.get("digest")),
            text_of(entry.get("mediaType")),
            size_of(entry.get("size")),
            platform,
            text_of(object_of(entry.get("annotations")).get(_ABOUT)),
            # Two children may have one platform, and a platform may be any string.
            platform if named[platform] == 1 and _ADDRESSABLE.fullmatch(platform) else digest,
        )
        for entry, platform in zip(entries, platforms, strict=True)
    ]


def chosen_child(image: Image, wanted: str) -> Child | None:
    """Return the child of an index that is asked for by platform or digest, otherwise its first; None without any."""
    platforms = image.platforms
    asked = (child for child in platforms if wanted and wanted in (child.key, child.digest, child.platform))
    return next(asked, platforms[0] if platforms else None)


def child_row(row: Manifest, child: Child | None) -> Manifest | None:
    """Return the row of a child; None for a child of another kind than a manifest."""
    if child is None:
        return None
    return Manifest.objects.filter(repository=row.repository_id, digest=child.digest).first()
