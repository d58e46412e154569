"""Names for the log and the audit: a login may carry anything, a password that was typed into the wrong field too."""

from contextlib import suppress

from django.db import DatabaseError

from accounts.names import ACCOUNT_NAME
from core.db.statement import Statement

UNKNOWN_NAME = "an unknown name"
"""Stands for every name that no account has; it is not a valid name itself."""

_EXISTS = Statement("SELECT 1 FROM accounts_account WHERE name = %s")


def shown(name: str) -> str:
    """Return the name of an account, UNKNOWN_NAME for any other text, and while the database does not answer."""
    with suppress(DatabaseError):
        if ACCOUNT_NAME.fullmatch(name) and _EXISTS.row(name) is not None:
            return name
    return UNKNOWN_NAME
