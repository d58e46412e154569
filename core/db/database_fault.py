"""Classify database errors by the driver's error code, for both databases.

"database is locked" is transient, "disk I/O error" needs an administrator; only the code tells them apart reliably.
"""

import errno
import logging
import time
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

# The interval between two logs of the same fault.
LOG_SECONDS = 60.0
MAX_REMEMBERED = 100
MAX_REMEMBERED_CHARACTERS = 1000


class ConflictError(OperationalError):
    """Another writer was first: raised by this process's own locks rather than by the database."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A class of errors. `is_passing`: transient, the same transaction may succeed soon."""

    reason: str
    is_passing: bool = False

    @property
    def retry_after_seconds(self) -> int:
        """The value for Retry-After: longer for a fault that an administrator has to fix."""
        return 2 if self.is_passing else 30


BUSY = Fault("the database is busy", is_passing=True)
AWAY = Fault("the database does not answer", is_passing=True)
FULL = Fault("the database can't be written: its disk is full")
READ_ONLY = Fault("the database can't be written: it is read-only")
DISK = Fault("the database can't be read or written: its disk fails")
UNOPENED = Fault("the database can't be opened")
DAMAGED = Fault("the database is damaged")
OTHER = Fault("the database refused a statement: the log of the registry says which and why")

# Primary result codes, https://www.sqlite.org/rescode.html; the extended ones add higher bits.
_SQLITE = {5: BUSY, 6: BUSY, 15: BUSY, 8: READ_ONLY, 10: DISK, 11: DAMAGED, 13: FULL, 14: UNOPENED, 26: DAMAGED}
_PRIMARY = 0xFF

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL = {
    **dict.fromkeys(("40001", "40P01", "55P03", "57014", "53200", "53400"), BUSY),
    **dict.fromkeys(("53300", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04"), AWAY),
    **dict.fromkeys(("XX001", "XX002"), DAMAGED),
    "25006": READ_ONLY,
    "53100": FULL,
    "58030": DISK,
}
_CONNECTION_EXCEPTION = "08"

_FILE = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY, errno.EACCES: READ_ONLY, errno.EIO: DISK}

# Logged without a traceback, which would add nothing.
_CLEAR = (BUSY, AWAY, FULL, READ_ONLY)

_logged_at: dict[str, float] = {}


def fault_of(error: BaseException) -> Fault:
    """Classify one of Django's errors by its cause, an error of the driver or of a file beside the database."""
    if isinstance(error, ConflictError):
        return BUSY
    cause = error.__cause__
    if isinstance(cause, OSError):
        return _FILE.get(cause.errno or 0, OTHER)
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE.get(code & _PRIMARY, OTHER)
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return AWAY if state.startswith(_CONNECTION_EXCEPTION) else _POSTGRESQL.get(state, OTHER)
    # Without a code the server did not answer: the connection was lost, or could not be made.
    return AWAY if hasattr(cause, "sqlstate") and isinstance(error, OperationalError | InterfaceError) else OTHER


def report(error: BaseException) -> Fault:
    """Classify `error`; log it, unless it is a conflict or was logged in the last LOG_SECONDS."""
    fault = fault_of(error)
    if fault is not BUSY:
        _log(fault, error)
    return fault


def _log(fault: Fault, error: BaseException) -> None:
    """Log a clear fault once in LOG_SECONDS, any other once for each message of its error."""
    text = fault.reason if fault in _CLEAR else f"{fault.reason} {error}"
    key, now = text[:MAX_REMEMBERED_CHARACTERS], time.monotonic()
    if now - _logged_at.get(key, -LOG_SECONDS) < LOG_SECONDS:
        return
    if len(_logged_at) >= MAX_REMEMBERED:
        _logged_at.clear()
    _logged_at[key] = now
    logger.error(fault.reason, exc_info=None if fault in _CLEAR else error)
