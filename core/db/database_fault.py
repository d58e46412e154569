"""What is wrong with the database, in words, told from the code in its driver's error: one place for both databases.

An error code says what a message hides: "database is locked" passes in a moment, "disk I/O error" needs somebody.
"""

import errno
import logging
import time
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

# The same fault is logged once in this time, however many requests meet it.
LOG_SECONDS = 60.0
MAX_REMEMBERED = 100
MAX_REMEMBERED_CHARACTERS = 1000


class ConflictError(OperationalError):
    """Another writer was first: raised by locks of this process rather than by the database."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of error. `is_passing`: the same transaction may succeed in a moment."""

    reason: str
    is_passing: bool = False

    @property
    def retry_after_seconds(self) -> int:
        """When to come back: what does not pass by itself waits for a person."""
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

# What these need is known without a traceback.
_CLEAR = (BUSY, AWAY, FULL, READ_ONLY)

_logged_at: dict[str, float] = {}


def fault_of(error: BaseException) -> Fault:
    """Return the kind of an error of Django's, whose cause is that of the driver or of a file beside the database."""
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
    # No code, so the server said nothing: the connection was lost, or none could be made.
    return AWAY if hasattr(cause, "sqlstate") and isinstance(error, OperationalError | InterfaceError) else OTHER


def report(error: BaseException) -> Fault:
    """Return the kind of `error`; log it, unless it is a conflict or was logged a moment ago."""
    fault = fault_of(error)
    if fault is not BUSY:
        _log(fault, error)
    return fault


def _log(fault: Fault, error: BaseException) -> None:
    """Log a clear fault once in LOG_SECONDS, any other once for each text of its error."""
    text = fault.reason if fault in _CLEAR else f"{fault.reason} {error}"
    key, now = text[:MAX_REMEMBERED_CHARACTERS], time.monotonic()
    if now - _logged_at.get(key, -LOG_SECONDS) < LOG_SECONDS:
        return
    if len(_logged_at) >= MAX_REMEMBERED:
        _logged_at.clear()
    _logged_at[key] = now
    logger.error(fault.reason, exc_info=None if fault in _CLEAR else error)
