"""Two images side by side: the layers that they share, and what else differs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distribution.models import Manifest
from web.document import document_of, list_of, object_of, size_of, text_of
from web.image.config import LISTED, environment_of, masked, settings_of
from web.image.manifest import config_of
from web.platforms import platform_of
from web.stored import UnreadableError

Difference = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer."""

    digest: str
    size: int


@dataclass(slots=True)
class Layers:
    """Some of the layers: up to LISTED of them, and the size of all."""

    listed: list[Blob]
    count: int
    size: int


@dataclass(slots=True)
class Comparison:
    """What two images share, and what only one has; a difference is a name with both values, "" for none."""

    shared: Layers
    only_left: Layers
    only_right: Layers
    config: list[Difference] = field(default_factory=list)
    environment: list[Difference] = field(default_factory=list)
    labels: list[Difference] = field(default_factory=list)
    annotations: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare(left: Manifest, right: Manifest) -> Comparison:
    """Compare two images or artifacts, which are no indexes."""
    documents = document_of(bytes(left.payload)), document_of(bytes(right.payload))
    sizes = _sizes(documents[0]), _sizes(documents[1])
    found = Comparison(
        _layers({digest: size for digest, size in sizes[1].items() if digest in sizes[0]}),
        _layers({digest: size for digest, size in sizes[0].items() if digest not in sizes[1]}),
        _layers({digest: size for digest, size in sizes[1].items() if digest not in sizes[0]}),
    )
    configs = [_config(found, row, document) for row, document in zip((left, right), documents, strict=True)]
    runs = [object_of(config.get("config")) for config in configs]
    found.config = _differences(_settings(configs[0]), _settings(configs[1]))
    found.labels = _differences(_strings(runs[0].get("Labels")), _strings(runs[1].get("Labels")))
    found.annotations = _differences(*(_strings(document.get("annotations")) for document in documents))
    environment = _differences(_variables(runs[0]), _variables(runs[1]))
    found.environment = [(name, _hidden(name, old), _hidden(name, new)) for name, old, new in environment]
    return found


def _config(found: Comparison, row: Manifest, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of one of the images, or note why it can't be read."""
    try:
        return config_of(row, document)
    except UnreadableError as error:
        found.problems.append(str(error))
        return {}


def _sizes(manifest: Mapping[str, Any]) -> dict[str, int]:
    layers = map(object_of, list_of(manifest.get("layers")))
    return {text_of(layer.get("digest")): size_of(layer.get("size")) for layer in layers}


def _layers(sizes: Mapping[str, int]) -> Layers:
    listed = [Blob(digest, size) for digest, size in list(sizes.items())[:LISTED]]
    return Layers(listed, len(sizes), sum(sizes.values()))


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    runs = settings_of(object_of(config.get("config")))
    settings = {name: ", ".join(lines) for name, lines in runs if name != "Environment"}
    return settings | {"Platform": platform_of(config), "Built": text_of(config.get("created"))}


def _variables(runs: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in environment_of(runs))}


def _strings(value: object) -> dict[str, str]:
    return {text_of(key): text_of(item) for key, item in object_of(value).items()}


def _differences(left: Mapping[str, str], right: Mapping[str, str]) -> list[Difference]:
    """Return up to LISTED names whose values differ."""
    names = sorted(name for name in {*left, *right} if left.get(name) != right.get(name))
    return [(name, left.get(name, ""), right.get(name, "")) for name in names[:LISTED]]


def _hidden(name: str, value: str) -> str:
    return masked(f"{name}={value}").removeprefix(f"{name}=")
