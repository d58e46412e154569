"""The server's own gunicorn.conf.py, whose workers look for jobs all the time and say each time that they did.

Named in GUNICORN_CMD_ARGS. Each look is a byte in a file of the worker, called by its process id in the folder LOOKS.
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
    """Start what the server starts, only that it is more eager."""
    from collector.jobs import due
    from collector.jobs.scheduler import Background

    look = due.is_anything_due

    def look_and_say() -> bool:
        is_due = look()
        with (Path(os.environ["LOOKS"]) / str(os.getpid())).open("ab") as looks:
            looks.write(b".")
        return is_due

    due.is_anything_due = look_and_say
    command = [sys.executable, str(ROOT / "manage.py"), "runjobs", "--once"]
    worker.jobs = Background(command, interval_seconds=LOOK_SECONDS)
    worker.jobs.start()
