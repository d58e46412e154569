"""Log logins with account, address and grant, and store `last_login` of the account."""

import logging
from typing import Any

from django.contrib.auth.models import update_last_login
from django.db import DatabaseError
from django.http import HttpRequest

from accounts import known_names
from accounts.models import Account
from audit.kinds import Kind
from audit.recording import record, record_alike
from core.api.notes import HasMeta
from core.db.database_fault import report
from core.db.short_transaction import short_transaction
from core.metrics.catalog import LOGIN_FAILURES, LOGINS

logger = logging.getLogger(__name__)

THROTTLED = "login refused after too many wrong passwords"
MALFORMED = "login refused: the credentials are not Basic with a name and a password"
BUSY = "login refused: too many passwords are being checked"
UNAVAILABLE = "login refused: the company login can't be asked"
_REFUSED = "login refused"
_REASONS = {
    _REFUSED: "credentials",
    THROTTLED: "throttled",
    MALFORMED: "malformed",
    BUSY: "busy",
    UNAVAILABLE: "unavailable",
}
# What each grant is in the audit: what proves the account, and for what.
_PROOFS = {
    "basic": ("password", "for a token"),
    "password": ("password", "for a token"),
    "refresh_token": ("refresh token", "for a token"),
    "admin": ("password", "to the admin"),
    "admin code": ("second factor", "to the admin"),
    "page": ("password", "to the pages"),
    "oidc": ("identity provider", "to the pages"),
    "page code": ("second factor", "to the pages"),
    "api": ("password", "to the API"),
    "access_token": ("access token", "by an access token"),
    "workload": ("workload identity", "by a workload"),
}
PATIENCE_SECONDS = 1.0


def log_login(request: HasMeta | None, account: str, grant: str, of: str = "") -> None:
    """Log the login of `account` by `grant`: basic, password, refresh_token, or admin for a session.

    `of` is what a workload has proved.
    """
    LOGINS.labels(grant).add()
    logger.info("login", extra=_about(request, account, grant) | ({"workload": of} if of else {}))
    detail = f"login {_PROOFS.get(grant, ('', grant))[1]}"
    _record(Kind.LOGIN, request, account, grant, f"{detail}: {of}" if of else detail)


def log_refusal(
    request: HasMeta | None, account: str | None, grant: str, message: str = _REFUSED, reason: str = ""
) -> None:
    """Log a refused login, with a `reason` for the log alone.

    `account` is the name that was entered, None when the request has none. Only the name of an account is stored; the
    address tells who it was.
    """
    account = account and known_names.shown(account)
    LOGIN_FAILURES.labels(grant, _REASONS.get(message, "other")).add()
    logger.warning(message, extra=_about(request, account, grant) | ({"reason": reason} if reason else {}))
    _record(Kind.LOGIN_REFUSED, request, account or "", grant, f"{message}, {_PROOFS.get(grant, ('', grant))[1]}")


def log_event(request: HttpRequest | None, account: str, message: str, kind: Kind) -> None:
    """Log a change of the credentials of `account`, by a page of the admin or, without a request, by a command."""
    logger.info(message, extra=_about(request, account, "command" if request is None else "admin"))
    actor, credential = (request.user.get_username(), "session") if request is not None else ("", "command")
    record(kind, request, account=actor, credential=credential, reference=f"account {account}", detail=message)


def store_last_login(sender: Any, user: Account, **_kwargs: Any) -> None:
    """Store `last_login` as Django's receiver does, but log a database error instead of refusing the login."""
    try:
        with short_transaction(PATIENCE_SECONDS):
            update_last_login(sender, user)
    except DatabaseError as error:
        logger.warning("the time of a login can't be stored", extra={"reason": report(error).reason})


def _record(kind: Kind, request: HasMeta | None, account: str, grant: str, detail: str) -> None:
    credential = _PROOFS.get(grant, ("", ""))[0]
    record_alike(
        kind, request, account=account, credential=credential, alike=f"{grant} {detail}", detail=lambda: detail
    )


def _about(request: HasMeta | None, account: str | None, grant: str) -> dict[str, str | None]:
    client = request.META.get("REMOTE_ADDR") if request is not None else None
    return {"account": account, "client": client, "grant": grant}
