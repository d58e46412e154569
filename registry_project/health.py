"""`GET /health`: does the registry reach what it needs?"""

import logging
from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed, JsonResponse

from distribution import reserve
from distribution.storage import check_storage

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

    What pulls go on without, as space for uploads, is told and changes no status.
    """
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    states = {"database": _state("database", _check_database), "storage": _state("storage", check_storage)}
    is_healthy = set(states.values()) == {"ok"}
    told = {"status": "ok" if is_healthy else "unavailable", **states, "space": _space()}
    response = JsonResponse(told, status=200 if is_healthy else 503)
    response["Cache-Control"] = "no-store"
    # Set by a middleware that this answer does not pass; without it gunicorn sends chunks.
    response["Content-Length"] = str(len(response.content))
    return response


def _check_database() -> None:
    pool = getattr(connection, "pool", None)
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return
    # A request waits longer for a connection of the pool than who probes waits for the answer.
    pool.open()
    with pool.connection(timeout=DATABASE_SECONDS) as pooled:
        pooled.execute("SELECT 1")


def _space() -> str:
    """Say whether uploads are refused since the disk has less free than its reserve."""
    try:
        space = reserve.space()
    except OSError:
        return "unknown"
    return "low" if space is not None and space.is_low else "ok"


def _state(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except Exception:  # each storage's client has errors of its own, and any of them is the answer
        log.warning("the %s does not answer", name, exc_info=True)
        return "unavailable"
    return "ok"
