"""One-line errors of management commands, in place of a traceback that hides why database or storage failed."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandError
from django.db import Error, IntegrityError

from core.api.errors import RegistryError
from core.db.database_fault import OTHER, fault_of
from core.db.setup import where
from core.start_error import StartError


@contextmanager
def explained() -> Iterator[None]:
    """Translate errors of database, storage and disk to a CommandError with the cause."""
    try:
        yield
    except StartError as error:
        raise CommandError(str(error)) from error
    except RegistryError as error:
        cause = error.__cause__
        if not isinstance(cause, Error):
            # The detail for a client, without the code.
            raise CommandError(str(error.detail)) from error
        fault = fault_of(cause)
        raise CommandError(_about_database(str(cause) if fault is OTHER else fault.reason)) from error
    except Error as error:
        is_known = fault_of(error) is not OTHER and not isinstance(error, IntegrityError)
        raise CommandError(_about_database(fault_of(error).reason if is_known else str(error))) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(f"{error.filename}: {reason}" if error.filename else reason) from error


def _about_database(reason: str) -> str:
    return f"database.url: {where()}: {' '.join(reason.split())}"
