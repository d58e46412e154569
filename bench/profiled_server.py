"""Serve with a counter around each stage of a request, under callgrind: see `bench.profile_request`.

A stage's functions run inside a C function that is named after the stage and its caller's. So callgrind's inclusive
counts of those C functions tell what each stage took, whatever Python code and libraries it entered.
"""

import ctypes
import os
import re
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

LIBRARY = "PROFILE_LIBRARY"
REQUESTS = "PROFILE_REQUESTS"
START = "PROFILE_START"
"""A file: once it exists, the requests of the warm-up follow, which fill caches, then those that are counted."""
WARM_UP = 200
CALIBRATIONS = 200

ROOT = "worker"
CALIBRATION = "calibration"
POOL = "pool, epoll"
STATEMENT = "statement"
_TABLES = (
    "upload",
    "segment",
    "repository",
    "blob",
    "link",
    "manifest",
    "manifestblob",
    "tag",
    "tagmove",
    "rightsepoch",
)
STATEMENTS = [f"{verb} {table}" for table in _TABLES for verb in ("SELECT", "INSERT", "UPDATE", "DELETE")]
"""Statements by verb and first table; others are of the stage STATEMENT."""

_TABLE = re.compile(r"(?:distribution|accounts)_(\w+)")
_here = threading.local()


class Stages:
    """Wraps functions as stages, once `counting` for the requests after the warm-up."""

    def __init__(self, library: str, stages: list[str], requests: int) -> None:
        self._library = ctypes.PyDLL(library)
        self._numbers = {stage: number for number, stage in enumerate(stages)}
        self._requests = requests
        self._start = os.environ[START]
        self._served = 0
        self._functions: dict[tuple[int, int], Any] = {}
        self._by_sql: dict[str, int] = {}

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` as a part of `stage`; that of a statement depends on its SQL."""
        of_stage = self._numbers[stage]

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            caller: int | None = getattr(_here, "stage", None)
            number = self._of_statement(args[0]) if stage == STATEMENT else of_stage
            if caller is None or caller == number:
                return function(*args, **kwargs)
            _here.stage = number
            try:
                return self._function(caller, number)(function, args, kwargs)
            finally:
                _here.stage = caller

        return wrapper

    def _of_statement(self, statement: Any) -> int:
        sql = statement._sql  # noqa: SLF001 - no other name tells it
        if sql not in self._by_sql:
            verb, table = sql.split(maxsplit=1)[0], _TABLE.search(sql)
            self._by_sql[sql] = self._numbers.get(f"{verb} {table and table[1]}", self._numbers[STATEMENT])
        return self._by_sql[sql]

    def root(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, each call of which is a request, and count for so many of them."""
        pool, number = self._numbers[POOL], self._numbers[ROOT]

        def wrapper(*args: Any) -> Any:
            self._served += bool(self._served or os.path.exists(self._start))  # noqa: PTH110 - a string all along
            if self._served == WARM_UP:
                self._library.begin()
                self._calibrate()
            if self._served == WARM_UP + self._requests:
                self._library.end()
            is_counted = WARM_UP <= self._served < WARM_UP + self._requests
            _here.stage = number if is_counted else None
            try:
                return self._function(pool, number)(function, args, {}) if is_counted else function(*args)
            finally:
                _here.stage = None

        return wrapper

    def _calibrate(self) -> None:
        """Let an empty stage run so often that its caller's count tells what a wrapper takes."""
        empty = self.wrap(ROOT, int)
        number = _here.stage = self._numbers[CALIBRATION]

        def run() -> None:
            for _ in range(CALIBRATIONS):
                empty()

        self._function(self._numbers[POOL], number)(run, (), {})
        _here.stage = None

    def _function(self, caller: int, stage: int) -> Any:
        function = self._functions.get((caller, stage))
        if function is None:
            function = self._library[f"enter_{caller}_{stage}"]
            function.argtypes, function.restype = [ctypes.py_object] * 3, ctypes.py_object
            self._functions[caller, stage] = function
        return function


def replace(original: Any, wrapped: Any) -> None:
    """Put `wrapped` in place of a function wherever a module has imported it."""
    for module in list(sys.modules.values()):
        for name in [name for name, value in vars(module).items() if value is original]:
            setattr(module, name, wrapped)


def install(stages: Stages, worker: Any) -> None:
    """Wrap the stages of `worker`, which has loaded the application."""
    from django.core.handlers.wsgi import WSGIRequest
    from django.http import HttpResponse
    from django.views import View
    from gunicorn.http import wsgi

    import core.api.view
    from accounts.authentication import remembered
    from accounts.login_log import log_login
    from core.api.body import Body, read_whole
    from core.db import transactions
    from core.db.sqlite3.base import DatabaseWrapper
    from core.db.statement import Statement
    from distribution import blobs, middleware, repositories, tags
    from distribution.manifests import store
    from distribution.protocol.digest import Digest
    from distribution.protocol.manifest_parser import parse_manifest
    from distribution.storage import disk_reserve
    from distribution.storage.blob_store import BlobStore
    from distribution.uploads import sessions
    from registry_project import front_door, short_path
    from registry_project.middleware import proxies
    from server import connection, reader, response
    from tokens import bearer, issue, scope, verify, views
    from tokens.short_path import answer as token_answer

    methods: dict[str, list[tuple[Any, str]]] = {
        "head: receive": [(reader.Reader, "chunk")],
        "head: parse": [(connection.Parser, "__next__")],
        "HttpRequest": [(WSGIRequest, "__init__")],
        "front door": [
            (front_door.RegistryChain, "serves"),
            (proxies.TrustedProxyMiddleware, "__call__"),
            (short_path.ShortPath, "__call__"),
        ],
        "resolver": [(middleware.RegistryMiddleware, "__call__")],
        "view": [(View, "setup"), (core.api.view.RegistryView, "dispatch")],
        "rules, scope": [(verify.Bearer, "may")],
        "body": [(Body, "__init__"), (Body, "read_all")],
        "storage": [(BlobStore, "write")],
        "begin, commit": [(DatabaseWrapper, "_start_transaction_under_autocommit"), (DatabaseWrapper, "_commit")],
        STATEMENT: [(Statement, "row"), (Statement, "rows"), (Statement, "run")],
        "response: build": [
            (HttpResponse, "__init__"),
            (wsgi.Response, "start_response"),
            (response.RegistryResponse, "respond"),
            (response.RegistryResponse, "write"),
            (response.RegistryResponse, "write_file"),
            (response.RegistryResponse, "close"),
        ],
        "send": [(response.RegistryResponse, "_send")],
    }
    functions: dict[str, list[Any]] = {
        "environ": [wsgi.create],
        "front door": [transactions.end_request],
        "token: verify": [bearer.bearer_of, bearer.bearer_at],
        "view": [short_path._pulled, short_path._pushed, token_answer],  # noqa: SLF001 - the views of the short path
        "rules, scope": [scope.parse_scopes],
        "domain": [
            *(store.find, blobs.find, store.put, sessions.start, sessions.find, sessions.complete),
            *(tags.page, repositories.catalog),
            # The transactions of these.
            *(store._put, sessions._open, sessions._publish),  # noqa: SLF001 - run by `transactions`
        ],
        "disk reserve": [disk_reserve.check, disk_reserve.check_room, disk_reserve.check_rows],
        "body": [read_whole],
        "manifest: parse": [parse_manifest],
        "transaction": [transactions.run],
        "response: build": [core.api.view.finished, core.api.view.error_fields, views._token_response],  # noqa: SLF001 - the last of a view
        "login": [views.log_in, remembered, log_login],
        "token: issue": [issue.issue],
    }
    for stage, places in methods.items():
        for owner, name in places:
            setattr(owner, name, stages.wrap(stage, getattr(owner, name)))
    for stage, originals in functions.items():
        for original in originals:
            replace(original, stages.wrap(stage, original))
    Digest.of = staticmethod(stages.wrap("hash", Digest.of))  # type: ignore[method-assign]
    load = worker.load_wsgi

    def load_wsgi() -> None:
        load()
        worker.wsgi = stages.wrap("front door", worker.wsgi)

    worker.load_wsgi = load_wsgi
    worker._log_access = stages.wrap("access log", worker._log_access)  # noqa: SLF001 - no other way in
    worker.handle = stages.root(worker.handle)


def main() -> None:
    """Run gunicorn."""
    from gunicorn.app.wsgiapp import run

    from bench.profile_request import STAGES
    from server.worker import Worker

    def init_process(worker: Any) -> None:
        install(Stages(os.environ[LIBRARY], STAGES, int(os.environ[REQUESTS])), worker)
        started(worker)

    started, Worker.init_process = Worker.init_process, init_process  # type: ignore[assignment,method-assign]
    sys.argv = ["gunicorn"]
    run()


if __name__ == "__main__":
    main()
