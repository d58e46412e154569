"""A worker that is told to stop when it has only just been forked."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from tests.project.held_up_workers import __file__ as held_up_workers
from tests.project.starting import ANY_PORT, environment
from tests.project.talk import until


@pytest.mark.parametrize("early", [signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_between_the_fork_and_the_workers_handlers_is_not_lost(
    tmp_path: Path, database: dict[str, str], early: signal.Signals
) -> None:
    (tmp_path / "config.yaml").write_text("server: {workers: 2}\n")
    command = [sys.executable, "-m", "gunicorn", "-c", held_up_workers, *ANY_PORT]
    with preloaded.Popen(command, cwd=tmp_path, env=environment(database), stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: all(is_written(tmp_path / f"forked.{age}") for age in (1, 2)))
            workers = [int((tmp_path / f"forked.{age}").read_text()) for age in (1, 2)]
            for worker in workers:
                os.kill(worker, early)
            (tmp_path / "go").touch()

            until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        finally:
            server.terminate()


def test_a_reload_sent_to_every_process_at_that_moment_ends_no_worker(tmp_path: Path, database: dict[str, str]) -> None:
    (tmp_path / "config.yaml").write_text("server: {workers: 1}\n")
    command = [sys.executable, "-m", "gunicorn", "-c", held_up_workers, *ANY_PORT]
    with preloaded.Popen(command, cwd=tmp_path, env=environment(database), stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: is_written(tmp_path / "forked.1"))
            worker = int((tmp_path / "forked.1").read_text())
            os.kill(worker, signal.SIGHUP)
            (tmp_path / "go").touch()
            until(lambda: not is_blocked(worker, signal.SIGHUP))

            assert Path(f"/proc/{worker}/stat").read_text().split()[2] != "Z"
        finally:
            server.terminate()


def is_blocked(pid: int, number: signal.Signals) -> bool:
    """Tell whether the kernel keeps the signal from the process."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1], 16)
    return bool(mask >> (number - 1) & 1)


def is_written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
