"""What pulls and pushes need, tried: the database and the storage are read, a row and an object are written.

Each is a short word: strangers may read it. Why something fails goes to the log only.
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

OK = "ok"
UNAVAILABLE = "unavailable"
UNKNOWN = "unknown"
NO_ANSWER = "not writable: no answer"

DATABASE_SECONDS = 3.0
# Who holds the lock longer than this keeps pushes from it, too.
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
    """Say whether the database answers and, asked in the same statement, whether collection is overdue."""
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
    """Return the one value that `sql` asks for."""
    pool = getattr(connection, "pool", None)
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]
    # A request waits longer for a connection of the pool than who probes waits for the answer.
    pool.open()
    with pool.connection(timeout=DATABASE_SECONDS) as pooled:
        return pooled.execute(sql).fetchone()[0]


def write_database() -> str:
    """Say whether a row can be written; a power cut may undo it, so that nothing waits for the disk."""
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
    """Say whether the storage answers, and whether its disk has less free than the reserve, so that uploads fail."""
    try:
        check_storage()
    except Exception:  # each storage's client has errors of its own, and any of them is the answer
        log.warning("the storage does not answer", exc_info=True)
        return UNAVAILABLE, UNKNOWN
    try:
        space = disk_reserve.space()
    except OSError:
        return OK, UNKNOWN
    return OK, "low" if space is not None and space.is_low else OK


def write_storage() -> str:
    """Say whether an object can be written and deleted."""
    try:
        blob_store().try_writing()
    except Exception as error:  # as above
        log.warning("the storage can't be written", exc_info=True)
        number = error.errno if isinstance(error, OSError) else None
        return f"not writable: {_STORAGE_REASONS.get(number or 0, _OTHER)}"
    return OK
