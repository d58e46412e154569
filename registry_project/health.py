"""The probes: `/health` for people and monitoring, `/livez` and `/readyz` for orchestrators and proxies.

/health   ok            200   pulls and pushes work
          degraded      200   pulls and logins work; a part names the problem
          unavailable   503   the database or the storage can't be read
/livez    alive         200   the process answers; nothing else is asked
/readyz   ready         200   the database can be read
          draining      503   the process was told to stop, and finishes what has begun
          unavailable   503   the database can't be read: another replica may reach it
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from core.api.notes import DRAINING, PROBE
from core.shared_check import SharedCheck
from registry_project import probes
from registry_project.probes import NO_ANSWER, OK, UNAVAILABLE, UNKNOWN
from registry_project.version import VERSION

PATH, ALIVE_PATH, READY_PATH = "/health", "/livez", "/readyz"
PATHS = frozenset((PATH, ALIVE_PATH, READY_PATH))
# Together less than the timeout of the container image's health check.
READ_PATIENCE_SECONDS = 3.0
WRITE_PATIENCE_SECONDS = 4.0
# Within this time the result of the last write is reused.
FRESH_SECONDS = 5.0
# Each write to a cloud is four requests that are paid for.
CLOUD_FRESH_SECONDS = 60.0

_SOUND = (OK, "disabled")


class HealthMiddleware:
    """Answer the probes before their Host is checked, which is the address of a pod.

    Concurrent requests share the checks of the process.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        unreadable = (UNAVAILABLE, UNKNOWN)
        self._database = SharedCheck(probes.read_database, unreadable, READ_PATIENCE_SECONDS)
        is_cloud = settings.REGISTRY.storage.backend != "filesystem"
        read_fresh, write_fresh = (FRESH_SECONDS, CLOUD_FRESH_SECONDS) if is_cloud else (0, FRESH_SECONDS)
        self._storage = SharedCheck(probes.read_storage, unreadable, READ_PATIENCE_SECONDS, read_fresh)
        self._row = SharedCheck(probes.write_database, NO_ANSWER, WRITE_PATIENCE_SECONDS, FRESH_SECONDS)
        self._object = SharedCheck(probes.write_storage, NO_ANSWER, WRITE_PATIENCE_SECONDS, write_fresh)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a probe; pass other paths on."""
        if request.path_info not in PATHS:
            return self._get_response(request)
        request.META[PROBE] = True
        if request.method not in ("GET", "HEAD"):
            response = _response({"error": "method not allowed"}, 405)
            response["Allow"] = "GET, HEAD"
            return response
        if request.path_info == ALIVE_PATH:
            return _response({"status": "alive"}, 200)
        return self._ready(request) if request.path_info == READY_PATH else self._health()

    def _ready(self, request: HttpRequest) -> JsonResponse:
        """Return whether new requests belong here."""
        if request.META.get(DRAINING):
            return _response({"status": "draining"}, 503)
        self._database.begin()
        database, _ = self._database.result()
        return _response({"status": "ready"}, 200) if database == OK else _response({"status": database}, 503)

    def _health(self) -> JsonResponse:
        """Return the state of each part and of the whole; reasons are in the log only."""
        states = self._states()
        status = OK if all(state in _SOUND for state in states.values()) else "degraded"
        if any(state.startswith(UNAVAILABLE) for state in states.values()):
            status = UNAVAILABLE
        return _response({"status": status, **states, "version": VERSION}, 503 if status == UNAVAILABLE else 200)

    def _states(self) -> dict[str, str]:
        """Return the state of each part; a part that can't be read is not written."""
        self._database.begin()
        self._storage.begin()
        database, collection = self._database.result()
        storage, space = self._storage.result()
        if database == OK:
            self._row.begin()
        if storage == OK:
            storage = self._object.result()
        if database == OK:
            database = self._row.result()
        return {"database": database, "storage": storage, "space": space, "collection": collection}


def _response(content: dict[str, str], status: int) -> JsonResponse:
    response = JsonResponse(content, status=status)
    response["Cache-Control"] = "no-store"
    # Django's middleware for it comes later; without it gunicorn sends chunks.
    response["Content-Length"] = str(len(response.content))
    return response
