"""Deferred deletion: objects that no row needs any more are deleted once no reader can have them open."""

from collections.abc import Iterable
from datetime import timedelta

from core.db.statement import Statement

# At least as long as a redirect to the storage is valid.
DELAY = timedelta(minutes=15)

_INSERT = """
INSERT INTO distribution_trash (key, delete_after)
VALUES (%s, statement_timestamp() + interval '{seconds:.0f} seconds')
ON CONFLICT (key) DO NOTHING
"""
_PUT = Statement(_INSERT.format(seconds=DELAY.total_seconds()))

_WAITING = Statement("SELECT key FROM distribution_trash WHERE key = ANY(%s)")


def waiting(keys: Iterable[str]) -> list[str]:
    """Return those of `keys` that are in the trash, and so belong to no upload or blob."""
    return [key for (key,) in _WAITING.rows(list(keys))]


def put(keys: Iterable[str]) -> None:
    """Delete the objects under `keys` after DELAY; a key that is in the trash already keeps its time."""
    for key in keys:
        _PUT.run(key)
