"""Objects that no row needs any more wait here until nobody can be reading them."""

from collections.abc import Iterable
from datetime import timedelta

from accounts.statement import Statement

# At least as long as a redirect to the storage is valid.
DELAY = timedelta(minutes=15)


# Waits for DELAY.
_PUT = Statement("""
INSERT INTO distribution_trash (key, delete_after)
VALUES (%s, statement_timestamp() + interval '900 seconds')
ON CONFLICT (key) DO NOTHING
""")


def put(keys: Iterable[str]) -> None:
    """Let the objects under `keys` be deleted after DELAY; a key that waits already goes on waiting."""
    for key in keys:
        _PUT.run(key)
