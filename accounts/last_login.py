"""When an account opened the admin last: noted when the database can be written, and never a reason to refuse."""

import logging
from typing import Any

from django.contrib.auth.models import update_last_login
from django.db import DatabaseError

from accounts.models import Account
from core.db.database_fault import report
from core.db.short_transaction import short_transaction

PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)


def note(sender: Any, user: Account, **_kwargs: Any) -> None:
    """Do what Django's own receiver of a login does, if that is possible now."""
    try:
        with short_transaction(PATIENCE_SECONDS):
            update_last_login(sender, user)
    except DatabaseError as error:
        logger.warning("the time of a login can't be stored", extra={"reason": report(error).reason})
