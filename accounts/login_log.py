"""Log logins with account, address and grant, and store `last_login` of the account."""

import logging
from typing import Any

from django.contrib.auth.models import update_last_login
from django.db import DatabaseError

from accounts.models import Account
from core.api.notes import HasMeta
from core.db.database_fault import report
from core.db.short_transaction import short_transaction
from core.metrics.catalog import LOGIN_FAILURES, LOGINS

logger = logging.getLogger(__name__)

THROTTLED = "login refused after too many wrong passwords"
MALFORMED = "login refused: the credentials are not Basic with a name and a password"
BUSY = "login refused: too many passwords are being checked"
_REFUSED = "login refused"
_REASONS = {_REFUSED: "credentials", THROTTLED: "throttled", MALFORMED: "malformed", BUSY: "busy"}
MAX_NAME_CHARACTERS = 128
PATIENCE_SECONDS = 1.0


def log_login(request: HasMeta | None, account: str, grant: str) -> None:
    """Log the login of `account` by `grant`: basic, password, refresh_token, or admin for a session."""
    LOGINS.labels(grant).add()
    logger.info("login", extra=_about(request, account, grant))


def log_refusal(request: HasMeta | None, account: str | None, grant: str, message: str = _REFUSED) -> None:
    """Log a refused login; `account` is None when the request names none."""
    LOGIN_FAILURES.labels(grant, _REASONS.get(message, "other")).add()
    logger.warning(message, extra=_about(request, account, grant))


def log_event(request: HasMeta | None, account: str, message: str) -> None:
    """Log a change of the credentials of `account`, by a page of the admin or, without a request, by a command."""
    logger.info(message, extra=_about(request, account, "command" if request is None else "admin"))


def store_last_login(sender: Any, user: Account, **_kwargs: Any) -> None:
    """Store `last_login` as Django's receiver does, but log a database error instead of refusing the login."""
    try:
        with short_transaction(PATIENCE_SECONDS):
            update_last_login(sender, user)
    except DatabaseError as error:
        logger.warning("the time of a login can't be stored", extra={"reason": report(error).reason})


def _about(request: HasMeta | None, account: str | None, grant: str) -> dict[str, str | None]:
    name = account[:MAX_NAME_CHARACTERS] if account is not None else None
    client = request.META.get("REMOTE_ADDR") if request is not None else None
    return {"account": name, "client": client, "grant": grant}
