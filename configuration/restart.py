"""Compare two configurations: every change needs a restart, except in users and rules."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass

from configuration.values import Configuration

DATABASE = "database.url"

# The keys of fields that have another name.
_KEYS = {
    "server.host": "server.addr",
    "server.port": "server.addr",
    "admin.is_enabled": "admin.enabled",
    "admin.host": "admin.addr",
    "admin.port": "admin.addr",
    "pages.is_enabled": "pages.enabled",
    "storage.backend": "storage",
    "storage.options": "storage",
    "storage.rootdirectory": "storage.filesystem.rootdirectory",
    "garbage_collector.is_enabled": "garbage_collector.enabled",
    "audit.is_enabled": "audit.enabled",
}


def marks(configuration: Configuration) -> dict[str, str]:
    """Return a hash of each value by section and field, so that values can be compared without revealing secrets."""
    values: dict[str, object] = {}
    for name in ("server", "admin", "pages", "storage", "garbage_collector", "audit", "auth"):
        section = getattr(configuration, name)
        values |= {f"{name}.{field.name}": getattr(section, field.name) for field in fields(section)}
    # Without a URL, the database is in that folder.
    values[DATABASE] = configuration.database.url or configuration.server.data_directory
    # The text of a section below has no secrets, its fields have.
    texts = {name: repr(asdict(value) if is_dataclass(value) else value) for name, value in values.items()}  # type: ignore[arg-type]  # of instances
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def changed_keys(before: Mapping[str, str], configuration: Configuration) -> list[str]:
    """Return the keys whose values have changed since their marks were `before`, in the order of the sections."""
    now = marks(configuration)
    return list(dict.fromkeys(_KEYS.get(name, name) for name in now if now[name] != before.get(name)))
