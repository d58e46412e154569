"""A real server whose worker breaks where a test says, and whose time passes when a test says."""

import http.client
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg

from tests import preloaded
from tests.clients.server import ROOT, Server

PATIENCE_SECONDS = 60.0

_TIMES = (
    ("distribution_manifest", "last_used_at"),
    ("distribution_link", "last_used_at"),
    ("distribution_upload", "active_at"),
    ("distribution_upload", "leased_until"),
    ("distribution_trash", "delete_after"),
    ("gc_lease", "expires_at"),
    ("tokens_refreshtoken", "used_at"),
)
_TWO_DAYS_AGO = {
    "sqlite": "UPDATE {table} SET {column} = strftime('%Y-%m-%d %H:%M:%f', {column}, '-2 days')",
    "postgresql": "UPDATE {table} SET {column} = {column} - interval '2 days'",
}


class Registry(Server):
    """A server of one worker, with no jobs beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._waiting = folder / "failpoints"

    @property
    def vendor(self) -> str:
        """Return what the server keeps its rows in."""
        return "sqlite" if self.database_url.startswith("sqlite") else "postgresql"

    def command(self) -> list[str]:
        return [*super().command(), "-c", str(ROOT / "tests" / "faults" / "armed.py")]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"FAILPOINTS_FILE": str(self._waiting)}

    def configuration(self) -> dict[str, object]:
        few = {"addr": self.host, "workers": 1}
        return super().configuration() | {"server": few, "garbage_collector": {"enabled": False}}

    def arm(self, failpoints: str) -> None:
        """Return once a new worker serves that has these failpoints; the one after it has none."""
        self._waiting.write_text(failpoints)
        self.replace_worker()

    def terminate(self) -> None:
        """Tell the server to stop, and return once it refuses connections. Raises TimeoutError if it takes more."""
        assert self.process is not None
        self.process.terminate()
        while self._serves():
            time.sleep(0.01)

    def _serves(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
                connection.request("GET", "/health")
                connection.getresponse()
        except ConnectionRefusedError:
            return False
        except (ConnectionError, http.client.HTTPException):
            # Taken while the door was closed.
            return True
        return True

    def replace_worker(self) -> None:
        """Return once a new worker serves."""
        (worker,) = self.workers()
        subprocess.run(["kill", "-9", str(worker)], check=True)
        self.wait_for_another(worker)

    def wait_for_another(self, worker: int) -> None:
        """Return once `worker` is gone and another one answers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while worker in self.workers() or not self.workers() or self._waiting.exists():
            assert time.monotonic() < deadline, f"no worker followed:\n{self.log_file.read_text()}"
            time.sleep(0.01)

    def let_worker_go_on(self) -> None:
        """Let the one worker go on that stands still."""
        (worker,) = self.workers()
        os.kill(worker, signal.SIGCONT)

    def wait_until_stopped(self) -> None:
        """Return once every thread of the one worker stands still."""
        (worker,) = self.workers()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(_is_stopped(task) for task in Path(f"/proc/{worker}/task").iterdir()):
            assert time.monotonic() < deadline, "the worker does not stand still"
            time.sleep(0.001)

    def manage(self, *words: str, failpoints: str = "", under: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` as an operator does, `under` another command, with `failpoints` in its environment."""
        return preloaded.run(
            [*under, sys.executable, str(ROOT / "manage.py"), *words],
            env=self.environment() | {"REG_FAILPOINTS": failpoints},
            timeout=PATIENCE_SECONDS,
        )

    def pass_time(self) -> None:
        """Make everything look as if two days had passed since."""
        for table, column in _TIMES:
            self.execute(_TWO_DAYS_AGO[self.vendor].format(table=table, column=column))

    def leave_writers_behind(self) -> None:
        """Make each upload look as if a request had claimed it and let the claim run out, dead or stuck."""
        self.execute("UPDATE distribution_upload SET lease = id, leased_until = active_at")

    def execute(self, statement: str) -> None:
        """Change rows behind the server's back."""
        if self.vendor == "sqlite":
            with closing(sqlite3.connect(self.folder / "registry.sqlite3", timeout=20)) as connection:
                connection.execute(statement)
                connection.commit()
        else:
            with psycopg.connect(self.database_url) as postgresql:
                postgresql.execute(statement.encode())

    def keys(self) -> dict[str, set[str]]:
        """Return the keys that rows name, by what names them."""
        queries = {
            "blobs": "SELECT key FROM distribution_blob",
            "segments": "SELECT key FROM distribution_segment",
            "uploads": "SELECT assembly_key FROM distribution_upload WHERE assembly_key IS NOT NULL",
            "trash": "SELECT key FROM distribution_trash",
        }
        return {kind: {key for (key,) in self.rows(query)} for kind, query in queries.items()}


def _is_stopped(task: Path) -> bool:
    """Tell whether a thread stands still, or has just ended."""
    try:
        return "State:\tT" in (task / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
