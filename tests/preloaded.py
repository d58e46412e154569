"""Start `gunicorn` and `manage.py` without the second of CPU that Python takes to import their libraries.

A process that has imported the libraries forks for each start, as a zygote does. The child is one of the tests'
process, which waits for it as for any other, and reads its folder, environment, arguments and the project anew.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import platform
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
# None of them reads folder, environment or Django's settings when it is imported, as those of gunicorn do.
LIBRARIES = (
    "authlib.integrations.django_client",
    "bcrypt",
    "boto3",
    "boto3.s3.transfer",
    "botocore.client",
    "botocore.handlers",
    "botocore.session",
    "configuration.models",
    "cryptography.hazmat.primitives.twofactor.totp",
    "django.contrib.admin.options",
    "django.contrib.admin.templatetags.admin_list",
    "django.contrib.admin.templatetags.admin_urls",
    "django.contrib.admin.views.main",
    "django.contrib.admindocs.views",
    "django.contrib.auth.checks",
    "django.contrib.auth.hashers",
    "django.contrib.auth.password_validation",
    "django.contrib.postgres.fields",
    "django.contrib.postgres.forms",
    "django.contrib.postgres.operations",
    "django.contrib.sites.requests",
    "django.contrib.staticfiles.storage",
    "django.core.handlers.wsgi",
    "django.core.mail",
    "django.core.management",
    "django.core.management.commands.migrate",
    "django.core.wsgi",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.test",
    "django.views.defaults",
    "django.views.generic",
    "http.server",
    "inflection",
    "jwt",
    "markdown_it",
    "multiprocessing.context",
    "prometheus_client.openmetrics.exposition",
    "psycopg.types.hstore",
    "psycopg_pool",
    "pydantic.json_schema",
    "pygments.formatters.html",
    "pygments.lexers.special",
    "requests",
    "rest_framework.serializers",
    "rest_framework.validators",
    "s3transfer.manager",
    "segno",
    "unfold.dataclasses",
    "uritemplate",
    "whitenoise.base",
    "xml.etree.ElementTree",
    "yaml",
)
# `clone` of Linux, and its flag for a child of the caller's parent.
CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
CLONE_PARENT = 0x8000
MESSAGE_BYTES = 1 << 20
# What the loader and Python read before the first line of a program.
READ_AT_START = ("LD_", "PYTHON", "COV")

_lock = Lock()


class Popen(subprocess.Popen[Any]):
    """subprocess.Popen, faster where the command is `python -m gunicorn` or `python manage.py`."""

    def _execute_child(self, *arguments: Any) -> None:
        command, folder, environment = arguments[0], arguments[5], arguments[6]
        pipes, is_in_new_session = arguments[10:16], arguments[21]
        if not _is_quick(command, environment):
            super()._execute_child(*arguments)  # type: ignore[misc]
            return
        asked = {
            "command": [str(word) for word in command],
            "folder": str(folder or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
            "is_in_new_session": is_in_new_session,
        }
        # Of the pipes the ends that a child reads and writes; -1 means that it inherits what this process has.
        descriptors = [own if own != -1 else inherited for inherited, own in enumerate((pipes[0], pipes[3], pipes[5]))]
        with _lock:
            socket.send_fds(_door(), [json.dumps(asked).encode()], descriptors)
            self.pid = int(_door().recv(MESSAGE_BYTES))
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def run(
    command: Sequence[str], *, timeout: float, text: str | None = None, check: bool = False, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command as subprocess.run does, with `text` on its standard input, and return what it wrote."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if text is not None:
        pipes["stdin"] = subprocess.PIPE
    with Popen(command, text=True, **pipes | more) as process:
        try:
            stdout, stderr = process.communicate(text, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
    if check:
        done.check_returncode()
    return done


def _is_quick(command: Sequence[str], environment: Mapping[str, str] | None) -> bool:
    python, *program = map(str, command[:3])
    is_known = program == ["-m", "gunicorn"] or Path(*program[:1]).name == "manage.py"
    is_same = _read_at_start(environment) == _read_at_start(os.environ)
    return CLONE is not None and python == sys.executable and is_known and is_same


def _read_at_start(environment: Mapping[str, str] | None) -> dict[str, str]:
    found = os.environ if environment is None else environment
    return {name: value for name, value in found.items() if name.startswith(READ_AT_START)}


@cache
def _door() -> socket.socket:
    """Start the process that forks; it ends with this one."""
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
    with other:
        command = [sys.executable, "-m", "tests.preloaded", str(other.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[other.fileno()])
    # In the reverse order.
    atexit.register(process.wait)
    atexit.register(own.close)
    return own


def main(descriptor: int) -> None:
    """Fork for each message, and become in the child what it names."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=descriptor) as door:
        while True:
            message, descriptors, *_ = socket.recv_fds(door, MESSAGE_BYTES, 3)
            if not message:
                return
            pid = _fork_beside()
            if pid == 0:
                break
            for number in descriptors:
                os.close(number)
            door.send(str(pid).encode())
    _become(json.loads(message), descriptors)


def _fork_beside() -> int:
    """Fork a child of the parent of this process; return its id, and 0 in the child."""
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    # By PyDLL, which keeps the lock of the interpreter.
    pid = int(ctypes.PyDLL(None).syscall(CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid:
        python.PyOS_AfterFork_Parent()
    else:
        python.PyOS_AfterFork_Child()
    return pid


def _become(asked: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Run the program as if Python had been started with it."""
    for number, given in enumerate(descriptors):
        os.dup2(given, number)
        os.close(given)
    if asked["is_in_new_session"]:
        os.setsid()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    for name in ("tests.preloaded", "tests"):
        sys.modules.pop(name, None)
    _, program, *arguments = asked["command"]
    sys.orig_argv[:] = asked["command"]
    try:
        if program == "-m":
            sys.path[0] = asked["folder"]
            sys.argv[:] = arguments
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(program).resolve().parent)
            sys.argv[:] = [program, *arguments]
            runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        _exit(end.code)
    _exit(None)


def _exit(code: object) -> NoReturn:
    """Exit as Python does, without freeing what is loaded: that takes 0.05 seconds of CPU."""
    status = code & 0xFF if isinstance(code, int) else int(code is not None)
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = 120
    os._exit(status)


if __name__ == "__main__":
    main(int(sys.argv[1]))
