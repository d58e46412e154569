"""What of the configuration only a restart brings into effect: all but users and rules."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields

from configuration.values import Configuration

DATABASE = "database.url"

# Where a field is not called as its key is.
_KEYS = {
    "server.host": "server.addr",
    "server.port": "server.addr",
    "admin.is_enabled": "admin.enabled",
    "admin.host": "admin.addr",
    "admin.port": "admin.addr",
    "storage.backend": "storage",
    "storage.options": "storage",
    "storage.rootdirectory": "storage.filesystem.rootdirectory",
    "garbage_collector.is_enabled": "garbage_collector.enabled",
}


def marks(configuration: Configuration) -> dict[str, str]:
    """Return a mark for each value, by section and field: equal for equal values, and no value can be read from it."""
    return {name: hashlib.sha256(repr(value).encode()).hexdigest() for name, value in _values(configuration)}


def changed_keys(before: Mapping[str, str], configuration: Configuration) -> list[str]:
    """Return the keys whose values differ from those that had the marks `before`, in their order."""
    now = marks(configuration)
    return list(dict.fromkeys(_KEYS.get(name, name) for name in now if now[name] != before.get(name)))


def _values(configuration: Configuration) -> Iterator[tuple[str, object]]:
    for section in ("server", "admin", "storage", "garbage_collector", "auth"):
        values = getattr(configuration, section)
        for field in fields(values):
            yield f"{section}.{field.name}", getattr(values, field.name)
    # Without a URL, the database is in that folder.
    yield DATABASE, configuration.database.url or configuration.server.data_directory
