"""Every key that the configuration knows."""

from collections.abc import Iterator

from configuration.loading import CONFIGURATION
from configuration.section import Section
from configuration.sections.rules import RULE
from configuration.sections.users import USER


def key_paths() -> list[str]:
    """Return the path of every key, as `server.addr`, `users.*.password`, `acl.*.name`."""
    return [*_below(CONFIGURATION, ""), *_below(USER, "users.*."), *_below(RULE, "acl.*.")]


def _below(section: Section, prefix: str) -> Iterator[str]:
    for name, key in section.keys.items():
        yield f"{prefix}{name}"
        if isinstance(key.convert, Section):
            yield from _below(key.convert, f"{prefix}{name}.")
