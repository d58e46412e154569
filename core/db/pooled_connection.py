"""Release a thread's pooled connection before it waits for a client or a storage.

Otherwise four slow clients exhaust a pool of four.
"""

from core.db.statement import database_of_thread


def release_connection() -> None:
    """Return the connection to the pool, unless a transaction is open or there is no pool (SQLite)."""
    database = database_of_thread()
    if database.connection is None or database.in_atomic_block:
        return
    if database.settings_dict["OPTIONS"].get("pool"):
        database.close()
