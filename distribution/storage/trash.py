"""Objects that no row needs any more wait here until nobody can be reading them."""

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
    """Return those of `keys` that are here, and so no upload's or blob's any more."""
    return [key for (key,) in _WAITING.rows(list(keys))]


def put(keys: Iterable[str]) -> None:
    """Let the objects under `keys` be deleted after DELAY; a key that waits already goes on waiting."""
    for key in keys:
        _PUT.run(key)
