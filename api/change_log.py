"""Changes by administrators: a row of the admin's history, and a line of the log."""

import logging
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from rest_framework.request import Request

REPR_CHARACTERS = 200
_VERBS = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}

logger = logging.getLogger(__name__)


def record(request: Request, row: Model, flag: int, what: str) -> None:
    """Record a change; of a deletion before it, while the row has its key."""
    actor: Any = request.user
    LogEntry.objects.create(
        user_id=actor.pk,
        content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
        object_id=str(row.pk),
        object_repr=str(row)[:REPR_CHARACTERS],
        action_flag=flag,
        change_message=what,
    )
    about = {"account": actor.get_username(), "client": request.META.get("REMOTE_ADDR")}
    logger.info("%s %s", row._meta.verbose_name, _VERBS[flag], extra={"what": what, **about})
