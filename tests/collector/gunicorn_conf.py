"""The server's own gunicorn.conf.py with workers that look for jobs every 0.2 seconds, and record each look.

Named in GUNICORN_CMD_ARGS. Each look appends a byte to the worker's file in the folder LOOKS, named by its process id.
"""

import os
import runpy
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOOK_SECONDS = 0.2

_real = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
globals().update({name: value for name, value in _real.items() if not name.startswith("_")})


def post_worker_init(worker: Any) -> None:
    """Start the scheduler as the server does, with a shorter interval."""
    from collector.jobs import due
    from collector.jobs.scheduler import Scheduler

    look = due.is_anything_due

    def look_and_record() -> bool:
        is_due = look()
        with (Path(os.environ["LOOKS"]) / str(os.getpid())).open("ab") as looks:
            looks.write(b".")
        return is_due

    due.is_anything_due = look_and_record
    command = [sys.executable, str(ROOT / "manage.py"), "runjobs", "--once"]
    worker.jobs = Scheduler(command, interval_seconds=LOOK_SECONDS)
    worker.jobs.start()
