"""The server's own gunicorn.conf.py, whose workers wait between their fork and their own handlers of signals.

Each writes its process id into a file `forked.<age>` of the current folder and goes on once there is a file `go`.
"""

import os
import runpy
import time
from pathlib import Path
from typing import Any

_real = runpy.run_path(str(Path(__file__).resolve().parents[2] / "gunicorn.conf.py"))
globals().update({name: value for name, value in _real.items() if not name.startswith("_")})


def post_fork(arbiter: Any, worker: Any) -> None:
    """Wait."""
    _real["post_fork"](arbiter, worker)
    Path(f"forked.{worker.age}").write_text(str(os.getpid()))
    while not Path("go").exists():
        time.sleep(0.01)
