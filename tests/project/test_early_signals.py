"""A server that is told to stop while its workers have only just been forked."""

from pathlib import Path

import pytest

from tests.clients.server import ROOT
from tests.project.starting import ANY_PORT, begin, gunicorn, wait_for
from tests.project.talk import until

# Holds each worker up between its fork and its own handlers; a lost signal would be waited for until the test fails.
HELD_UP = f"""
exec(open({str(ROOT / "gunicorn.conf.py")!r}).read().replace("__file__", {str(ROOT / "gunicorn.conf.py")!r}, 1))
import pathlib, time
graceful_timeout = 3600
_pin = post_fork
def post_fork(arbiter, worker):
    _pin(arbiter, worker)
    pathlib.Path(f"forked.{{worker.age}}").touch()
    while not pathlib.Path("told").exists():
        time.sleep(0.01)
"""
