"""A line of the log for each login, right or wrong: which account, from where, and how it was asked for."""

import logging

from django.http import HttpRequest

logger = logging.getLogger(__name__)

THROTTLED = "login refused after too many wrong passwords"
MALFORMED = "login refused: the credentials are not Basic with a name and a password"
BUSY = "login refused: too many passwords are being checked"
MAX_NAME_CHARACTERS = 128


def log_login(request: HttpRequest | None, account: str, grant: str) -> None:
    """Log that `account` has proved who it is, by `grant`: basic, password, refresh_token, or admin for a session."""
    logger.info("login", extra=_about(request, account, grant))


def log_refusal(request: HttpRequest | None, account: str | None, grant: str, message: str = "login refused") -> None:
    """Log that somebody said to be `account`, None where nothing tells a name."""
    logger.warning(message, extra=_about(request, account, grant))


def log_event(request: HttpRequest | None, account: str, message: str) -> None:
    """Log what happened to the credentials of `account`, by a command where there is no request."""
    logger.info(message, extra=_about(request, account, "command" if request is None else "admin"))


def _about(request: HttpRequest | None, account: str | None, grant: str) -> dict[str, str | None]:
    name = account[:MAX_NAME_CHARACTERS] if account is not None else None
    client = request.META.get("REMOTE_ADDR") if request is not None else None
    return {"account": name, "client": client, "grant": grant}
