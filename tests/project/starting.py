"""Start the real server in a folder, and see what it says."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import preloaded
from tests.clients.server import ROOT, kill_group

Finished = subprocess.CompletedProcess[str]

_OWN = ("REGISTRY_", "DJANGO_", "CONFIG_PATH", "GUNICORN_")
# Far above what a start takes: a server that hangs fails its test, not the whole run.
PATIENCE_SECONDS = 120
ANY_PORT = ("--bind", "127.0.0.1:0")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes connections; `said` is what it wrote on standard output until then."""

    process: subprocess.Popen[str]
    said: str
    port: int

    def stop(self) -> int:
        """Ask the server to stop and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what the tests themselves run with."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN)} | (more or {})


def gunicorn(*arguments: str) -> list[str]:
    """Return the command that serves from any folder."""
    return [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), *arguments]


def start(folder: Path, *arguments: str, more: dict[str, str] | None = None) -> Finished:
    """Run a server that is expected to end by itself, in `folder`, at the address of its configuration."""
    return _finished(gunicorn(*arguments), folder, more)


def manage(folder: Path, *arguments: str, more: dict[str, str] | None = None, text: str = "") -> Finished:
    """Run `manage.py` in `folder`, with `text` on its standard input."""
    return _finished([sys.executable, str(ROOT / "manage.py"), *arguments], folder, more, text)


def complaints(folder: Path) -> list[str]:
    """Return what servers in `folder` wrote on standard error, less what they only tell: collection may have run."""
    return [line for line in (folder / "stderr").read_text().splitlines() if '"level": "info"' not in line]


@contextmanager
def serving(folder: Path, *, more: dict[str, str] | None = None) -> Iterator[Running]:
    """Serve in `folder` on a free port; fail with what the server wrote when it does not come up."""
    with begin(folder, more) as process:
        yield wait_for(process, folder)


@contextmanager
def begin(folder: Path, more: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a server in `folder` on a free port, without waiting for it; end it afterwards."""
    command = gunicorn(*ANY_PORT)
    with (folder / "stderr").open("a") as log:
        process = preloaded.Popen(
            command,
            cwd=folder,
            env=environment(more),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    watchdog = threading.Timer(PATIENCE_SECONDS, kill_group, [process.pid])
    watchdog.start()
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()
        watchdog.cancel()
        kill_group(process.pid)


def wait_for(process: subprocess.Popen[str], folder: Path) -> Running:
    """Read what the server says until it says where it listens."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.match(r"registry listening on http://127\.0\.0\.1:(\d+)", line):
            return Running(process, said, int(found[1]))
    raise AssertionError(f"the server ended:\n{said}{(folder / 'stderr').read_text()}")


def _finished(command: list[str], folder: Path, more: dict[str, str] | None, text: str = "") -> Finished:
    return preloaded.run(command, cwd=folder, env=environment(more), text=text, timeout=PATIENCE_SECONDS)
