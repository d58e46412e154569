"""`GET /health`: does the registry reach what it needs?

ok            200   pulls and pushes are served
degraded      200   pulls and logins are served; a part says what does not go on
unavailable   503   the database or the storage can't be read
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from core.api.notes import PROBE
from core.shared_check import SharedCheck
from registry_project import probes
from registry_project.probes import NO_ANSWER, OK, UNAVAILABLE, UNKNOWN
from registry_project.version import VERSION

PATH = "/health"
# Together less than the health check of the container's image waits for an answer.
READ_PATIENCE_SECONDS = 3.0
WRITE_PATIENCE_SECONDS = 4.0
# Who asks more often gets the last answer about writing, and the disk is left alone.
FRESH_SECONDS = 5.0

_SOUND = (OK, "disabled")


class Checks:
    """What one process tries, for all who ask it."""

    def __init__(self) -> None:
        """Have tried nothing yet."""
        unread = (UNAVAILABLE, UNKNOWN)
        self.database = SharedCheck(probes.read_database, unread, READ_PATIENCE_SECONDS)
        self.storage = SharedCheck(probes.read_storage, unread, READ_PATIENCE_SECONDS)
        self.row = SharedCheck(probes.write_database, NO_ANSWER, WRITE_PATIENCE_SECONDS, FRESH_SECONDS)
        self.object = SharedCheck(probes.write_storage, NO_ANSWER, WRITE_PATIENCE_SECONDS, FRESH_SECONDS)

    def states(self) -> dict[str, str]:
        """Return each part's state; what can't be read is not written."""
        self.database.begin()
        self.storage.begin()
        database, collection = self.database.result()
        storage, space = self.storage.result()
        if database == OK:
            self.row.begin()
        if storage == OK:
            storage = self.object.result()
        if database == OK:
            database = self.row.result()
        return {"database": database, "storage": storage, "space": space, "collection": collection}


class HealthMiddleware:
    """Answer the probe before anything reads its Host, which is the address of a pod that no list knows."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep what answers every other path."""
        self._get_response = get_response
        self._checks = Checks()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer `/health`, pass on the rest."""
        if request.path_info != PATH:
            return self._get_response(request)
        request.META[PROBE] = True
        return _health(request, self._checks)


def _health(request: HttpRequest, checks: Checks) -> HttpResponseBase:
    """Answer with the state of each part, and of all; why something fails goes to the log only."""
    if request.method not in ("GET", "HEAD"):
        response = _response({"error": "method not allowed"}, 405)
        response["Allow"] = "GET, HEAD"
        return response
    states = checks.states()
    status = _status(states)
    return _response({"status": status, **states, "version": VERSION}, 503 if status == UNAVAILABLE else 200)


def _response(content: dict[str, str], status: int) -> JsonResponse:
    response = JsonResponse(content, status=status)
    response["Cache-Control"] = "no-store"
    # Set by a middleware that this answer does not pass; without it gunicorn sends chunks.
    response["Content-Length"] = str(len(response.content))
    return response


def _status(states: dict[str, str]) -> str:
    if UNAVAILABLE in states.values():
        return UNAVAILABLE
    return OK if all(state in _SOUND for state in states.values()) else "degraded"
