"""Programs that run in the background of a test, and what they leave behind."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 120
STOP_SECONDS = 60


@contextmanager
def running(command: Sequence[str], folder: Path, is_ready: Callable[[], bool]) -> Iterator[None]:
    """Run `command`, whose files are all in `folder`, while the block runs; AssertionError when it does not start.

    It is no part of the tests' process group: an interrupt reaches the tests, which then stop it in its turn.
    """
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(process, is_ready, folder / "log")
        yield
    finally:
        stop(process)
        unmount_below(folder)


def wait_for(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    """Return once `is_ready`; AssertionError with the log when that takes too long, or when the process ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if is_ready():
            return
        time.sleep(0.1)
    raise AssertionError(f"{process.args!r} does not answer:\n{log.read_text(errors='replace')}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and kill it when it does not."""
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def unmount_below(folder: Path) -> None:
    """Unmount what a killed process left mounted in `folder`, the innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", mount], check=False)


def skip_without_namespaces(who: str) -> None:
    """Skip the test where `who` cannot make containers, which need namespaces of their own."""
    command = ["unshare", "--mount", "--pid", "--net", "--fork", "true"]
    probe = subprocess.run(command, capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"{who} cannot run here: {probe.stderr.strip()}")
