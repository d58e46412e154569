"""Rows that are of use to the running server only: a backup leaves them out."""

from collections.abc import Callable

# Open uploads, the trash, leases: a backup has none of their objects.
TABLES = ("distribution_segment", "distribution_upload", "distribution_trash", "gc_lease", "webhooks_deliverylease")
# `migrate` itself fills these: a database with rows only in them counts as empty.
FILLED_BY_MIGRATE = {"django_migrations", "django_content_type", "auth_permission", "accounts_rightsepoch"}

# In an order that foreign keys allow. Requested runs are removed, and runs in progress count as stopped.
_STATEMENTS = (
    "DELETE FROM distribution_segment",
    "DELETE FROM distribution_upload",
    "DELETE FROM distribution_trash",
    "DELETE FROM gc_lease",
    "DELETE FROM webhooks_deliverylease",
    "DELETE FROM gc_runfinding WHERE run_id IN (SELECT id FROM gc_run WHERE state = 'requested')",
    "DELETE FROM gc_run WHERE state = 'requested'",
    "UPDATE gc_run SET state = 'stopped', error = 'a backup was made meanwhile', ended_at = started_at "
    "WHERE state = 'running'",
)


def delete(execute: Callable[[str], object]) -> None:
    """Delete these rows; `execute` runs one SQL statement. Raises what it does."""
    for statement in _STATEMENTS:
        execute(statement)
