"""The steps that built an image, each with the layer that it made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.sizes import size_text
from web.document import list_of, object_of, size_of, text_of
from web.image.config import LISTED, instruction
from web.image.kinds import Document, document_in

# A longer line is folded.
SHORT_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a manifest; `permille` is its share of the size of all layers."""

    digest: str
    media_type: str
    size: int
    permille: int
    title: str
    document: Document | None

    @property
    def size_text(self) -> str:
        return size_text(self.size)

    @property
    def percent(self) -> str:
        """Return the share in words."""
        if 0 < self.permille < 10:
            return "under 1 %"
        return f"{round(self.permille / 10)} %"


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the history; without a layer it changed the configuration only."""

    line: str
    layer: Layer | None

    @property
    def beginning(self) -> str:
        """Return the beginning of a line that is folded; "" for one that is not."""
        return self.line[:SHORT_CHARACTERS] if len(self.line) > SHORT_CHARACTERS else ""


def layers_of(manifest: Mapping[str, Any]) -> list[Layer]:
    """Return the first LISTED layers."""
    found = [object_of(layer) for layer in list_of(manifest.get("layers"))]
    total = sum(size_of(layer.get("size")) for layer in found)
    return [_layer(layer, total) for layer in found[:LISTED]]


def _layer(descriptor: Mapping[str, Any], total: int) -> Layer:
    size = size_of(descriptor.get("size"))
    return Layer(
        text_of(descriptor.get("digest")),
        text_of(descriptor.get("mediaType")),
        size,
        # A step that is there at all is seen.
        max(size * 1000 // total, 1) if size and total else 0,
        text_of(object_of(descriptor.get("annotations")).get("org.opencontainers.image.title")),
        document_in(descriptor),
    )


def steps_of(layers: list[Layer], config: Mapping[str, Any]) -> Iterator[Step]:
    """Yield up to LISTED steps in the order of the history, then the layers that it does not tell of."""
    left = iter(layers)
    for entry in map(object_of, list_of(config.get("history"))[:LISTED]):
        layer = None if entry.get("empty_layer") is True else next(left, None)
        line = instruction(text_of(entry.get("created_by")) or text_of(entry.get("comment")))
        if line or layer:
            yield Step(line, layer)
    for layer in left:
        yield Step("", layer)
