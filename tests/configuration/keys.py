"""Every key that the configuration knows."""

from collections.abc import Iterator

from registry_project.configuration.loading import CONFIGURATION
from registry_project.configuration.rules import RULE
from registry_project.configuration.section import Section
from registry_project.configuration.users import USER


def key_paths() -> list[str]:
    """Return the path of every key, as `server.addr`, `users.*.password`, `acl.*.name`."""
    return [*_below(CONFIGURATION, ""), *_below(USER, "users.*."), *_below(RULE, "acl.*.")]


def _below(section: Section, prefix: str) -> Iterator[str]:
    for name, key in section.keys.items():
        yield f"{prefix}{name}"
        if isinstance(key.convert, Section):
            yield from _below(key.convert, f"{prefix}{name}.")
