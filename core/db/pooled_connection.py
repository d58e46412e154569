"""The connection that a thread has from PostgreSQL's pool: kept for questions, never while something else is slow.

Four slow clients exhausted a pool of four: nobody waits for a client or a storage with a connection in hand.
"""

from core.db.statement import database_of_thread


def release_connection() -> None:
    """Give the connection back to the pool, outside of a transaction.

    Without a pool (SQLite) a thread has a connection of its own, which nobody waits for.
    """
    database = database_of_thread()
    if database.connection is None or database.in_atomic_block:
        return
    if database.settings_dict["OPTIONS"].get("pool"):
        database.close()
