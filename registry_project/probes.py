"""Probe the database and the storage: read both, write a row and an object.

The results are short words, since anybody may read them; reasons are in the log only.
"""

import errno
import logging
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection

from collector import schedule
from core.db import database_fault
from core.db.statement import Statement
from core.db.transactions import run_once
from distribution.storage import disk_reserve
from distribution.storage.blob_store import blob_store, check_storage
from distribution.storage.cloud import CloudError

OK = "ok"
UNAVAILABLE = "unavailable"
UNKNOWN = "unknown"
NO_ANSWER = "not writable: no answer"

DATABASE_SECONDS = 3.0
# A longer lock blocks pushes too.
LOCK_SECONDS = 2.0

_OTHER = "failed"
_DATABASE_REASONS = {
    database_fault.BUSY: "busy",
    database_fault.AWAY: "no answer",
    database_fault.FULL: "disk full",
    database_fault.READ_ONLY: "read-only",
    database_fault.DISK: "disk failed",
}
_STORAGE_REASONS = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk full",
    errno.EROFS: "read-only",
    errno.EACCES: "read-only",
    errno.EIO: "disk failed",
}

_WRITE = Statement("""
INSERT INTO registry_project_probe (id, tried_at) VALUES (1, statement_timestamp())
ON CONFLICT (id) DO UPDATE SET tried_at = excluded.tried_at
""")

log = logging.getLogger(__name__)


def read_database() -> tuple[str, str]:
    """Return the states of the database and, from the same statement, of garbage collection."""
    try:
        is_overdue = _value(schedule.overdue_sql())
    except Exception:
        log.warning("the database does not answer", exc_info=True)
        return UNAVAILABLE, UNKNOWN
    finally:
        connection.close()
    if not settings.REGISTRY.garbage_collector.is_enabled:
        return OK, "disabled"
    return OK, "overdue" if is_overdue else OK


def _value(sql: str) -> Any:
    """Return the single value of a query."""
    pool = getattr(connection, "pool", None)
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]
    # The pool's own timeout is longer than that of a probe.
    pool.open()
    with pool.connection(timeout=DATABASE_SECONDS) as pooled:
        return pooled.execute(sql).fetchone()[0]


def write_database() -> str:
    """Write a row and return the state; without fsync, so that the probe does not wait for the disk."""
    try:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000:.0f}")
        run_once(_WRITE.run, LOCK_SECONDS)
    except DatabaseFault as error:
        return f"not writable: {_DATABASE_REASONS.get(database_fault.report(error), _OTHER)}"
    finally:
        connection.close()
    return OK


def read_storage() -> tuple[str, str]:
    """Return the states of the storage and of its free space, which is low below the reserve."""
    try:
        check_storage()
    except CloudError as error:
        log.warning("the storage does not answer: %s", error)
        return f"{UNAVAILABLE}: {error.state}", UNKNOWN
    except Exception:  # each storage backend has errors of its own
        log.warning("the storage does not answer", exc_info=True)
        return UNAVAILABLE, UNKNOWN
    try:
        space = disk_reserve.space()
    except OSError:
        return OK, UNKNOWN
    return OK, "low" if space is not None and space.is_low else OK


def write_storage() -> str:
    """Write and delete an object, and return the state."""
    try:
        blob_store().try_writing()
    except CloudError as error:
        log.warning("the storage can't be written: %s", error)
        return f"not writable: {error.state}"
    except Exception as error:  # as above
        log.warning("the storage can't be written", exc_info=True)
        number = error.errno if isinstance(error, OSError) else None
        return f"not writable: {_STORAGE_REASONS.get(number or 0, _OTHER)}"
    return OK
