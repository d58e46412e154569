"""Every key that the configuration knows."""

from collections.abc import Iterator
from typing import get_args, get_origin, get_type_hints

from configuration.models import File
from configuration.section import keys


def key_paths() -> list[str]:
    """Return the path of every key, as `server.addr`, `users.*.password`, `acl.*.name`."""
    return list(_below(File, ""))


def _below(section: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(section)
    for name in keys(section):
        yield f"{prefix}{name}"
        hint = hints.get(name)
        *_, inner = get_args(hint) or (hint,)
        if (
            isinstance(inner, type)
            and inner.__module__.startswith("configuration.")
            and hasattr(inner, "__annotations__")
        ):
            yield from _below(inner, f"{prefix}{name}." + ("*." if get_origin(hint) else ""))
