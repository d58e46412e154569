"""Errors as Django raises them, with the driver's own as their cause."""

import sqlite3

import psycopg
from django.db import DatabaseError, IntegrityError, InternalError, OperationalError, ProgrammingError

_KINDS: dict[type[Exception], type[DatabaseError]] = {
    psycopg.IntegrityError: IntegrityError,
    psycopg.InternalError: InternalError,
    psycopg.ProgrammingError: ProgrammingError,
}


def of_sqlite(code: int, message: str) -> DatabaseError:
    """Return the error of a result code."""
    cause = sqlite3.OperationalError(message)
    cause.sqlite_errorcode = code
    return caused_by(cause, OperationalError)


def of_postgresql(cause: psycopg.Error) -> DatabaseError:
    """Return what Django makes of an error of psycopg's."""
    kind = next((ours for theirs, ours in _KINDS.items() if isinstance(cause, theirs)), OperationalError)
    return caused_by(cause, kind)


def caused_by(cause: Exception, kind: type[DatabaseError]) -> DatabaseError:
    """Return an error of Django's with this cause."""
    error = kind(str(cause))
    error.__cause__ = cause
    return error
