"""`GET /health`: does the registry reach what it needs?"""

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed, JsonResponse

from collector import schedule
from distribution import reserve
from distribution.storage import check_storage
from registry_project.version import VERSION

PATH = "/health"
DATABASE_SECONDS = 3

log = logging.getLogger(__name__)


class HealthMiddleware:
    """Answer the probe before anything reads its Host, which is the address of a pod that no list knows."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep what answers every other path."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer `/health`, pass on the rest."""
        return health(request) if request.path_info == PATH else self._get_response(request)


def health(request: HttpRequest) -> HttpResponseBase:
    """Answer 200 when database and storage answer, else 503 with which does not; why goes to the log only.

    What pulls and pushes go on without is told and changes no status: collection, and space for uploads.
    """
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    database, collection = _database()
    storage = _storage()
    is_healthy = database == storage == "ok"
    states = {"database": database, "storage": storage, "space": _space(), "collection": collection}
    states["version"] = VERSION
    response = JsonResponse(
        {"status": "ok" if is_healthy else "unavailable", **states}, status=200 if is_healthy else 503
    )
    response["Cache-Control"] = "no-store"
    # Set by a middleware that this answer does not pass; without it gunicorn sends chunks.
    response["Content-Length"] = str(len(response.content))
    return response


def _database() -> tuple[str, str]:
    """Say whether the database answers and, asked in the same statement, whether collection is overdue."""
    try:
        is_overdue = _value(schedule.overdue_sql())
    except Exception:
        log.warning("the database does not answer", exc_info=True)
        return "unavailable", "unknown"
    if not settings.REGISTRY.garbage_collector.is_enabled:
        return "ok", "disabled"
    return "ok", "overdue" if is_overdue else "ok"


def _value(sql: str) -> Any:
    """Return the one value that `sql` asks for."""
    pool = getattr(connection, "pool", None)
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]
    # A request waits longer for a connection of the pool than who probes waits for the answer.
    pool.open()
    with pool.connection(timeout=DATABASE_SECONDS) as pooled:
        return pooled.execute(sql).fetchone()[0]


def _storage() -> str:
    try:
        check_storage()
    except Exception:  # each storage's client has errors of its own, and any of them is the answer
        log.warning("the storage does not answer", exc_info=True)
        return "unavailable"
    return "ok"


def _space() -> str:
    """Say whether uploads are refused since the disk has less free than its reserve."""
    try:
        space = reserve.space()
    except OSError:
        return "unknown"
    return "low" if space is not None and space.is_low else "ok"
