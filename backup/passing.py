"""Rows that mean something to the running server only: no backup keeps them."""

from collections.abc import Callable

# Open uploads, what waits to be deleted, and who does what: their objects are in no backup.
TABLES = ("distribution_segment", "distribution_upload", "distribution_trash", "gc_lease")
# What `migrate` fills by itself: a database with nothing else is empty.
MADE_BY_MIGRATE = ("django_migrations", "django_content_type", "auth_permission", "accounts_rightsepoch")

# In an order that foreign keys allow. Runs that wait are withdrawn, and those that were under way are over.
_FORGET = (
    "DELETE FROM distribution_segment",
    "DELETE FROM distribution_upload",
    "DELETE FROM distribution_trash",
    "DELETE FROM gc_lease",
    "DELETE FROM gc_runfinding WHERE run_id IN (SELECT id FROM gc_run WHERE state = 'requested')",
    "DELETE FROM gc_run WHERE state = 'requested'",
    "UPDATE gc_run SET state = 'stopped', error = 'a backup was made meanwhile', ended_at = started_at "
    "WHERE state = 'running'",
)


def forget(execute: Callable[[str], object]) -> None:
    """Remove these rows, with `execute` for one SQL statement. Raises what it does."""
    for statement in _FORGET:
        execute(statement)
