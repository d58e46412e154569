"""gunicorn as `gunicorn.conf.py` has it, but a new worker takes up the failpoints that wait for it in a file.

One worker takes them; the one that follows when it was killed finds none. No jobs beside the server: what a
test collects is there until the test does so.
"""

import os
import runpy
from contextlib import suppress
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from core import failpoints

globals().update(runpy.run_path(str(Path(__file__).resolve().parents[2] / "gunicorn.conf.py")))

# Tests let a worker stand still, and a server stop beside clients that go on: however slow the machine is.
timeout = 600
graceful_timeout = 90


def post_fork(_arbiter: Arbiter, _worker: Worker) -> None:
    """Take up what waits."""
    waiting = Path(os.environ["FAILPOINTS_FILE"])
    with suppress(FileNotFoundError):
        failpoints.arm(waiting.read_text())
        waiting.unlink()


def post_worker_init(_worker: Worker) -> None:
    """Start no jobs."""
