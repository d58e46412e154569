"""Processes that collect all the time, each killed now and then in the middle of whatever it does."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.clients.server import ROOT
from tests.stress.world import World

LIVES_SECONDS = (1.0, 5.0)
# How much longer a successor may live, at most, while none finishes a run.
MAX_PATIENCE = 16
PACES = ("real", "hurry")


class Collectors:
    """A collector of each pace, with one grace period; a killed one is succeeded at once."""

    def __init__(self, world: World, grace_seconds: float, name: str) -> None:
        self._world, self._grace, self._name = world, grace_seconds, name
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._keep, args=(pace,)) for pace in PACES]

    def start(self) -> None:
        """Let them spin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Kill them, and count what they did."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _keep(self, pace: str) -> None:
        folder = self._world.server.folder / f"collectors-{self._name}-{pace}"
        folder.mkdir()
        command = [sys.executable, "-m", "tests.stress.spinner", str(self._grace), pace, str(folder)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._world.server.environment(), stdout=subprocess.PIPE, stderr=log
            )
        try:
            self._kill_now_and_then(process, folder)
        finally:
            self._end(process, folder)

    def _kill_now_and_then(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Kill child after child; the parent ends only when one ended by itself."""
        chance = self._world.chance(folder.name)
        patience = min(self._world.calm, MAX_PATIENCE)
        assert process.stdout is not None
        while not self._is_over.is_set():
            line = process.stdout.readline()
            if not line:
                self._world.tally.fail(f"a collector ended: {(folder / 'log').read_text()[-2000:]}")
                return
            self._is_over.wait(patience * chance.uniform(*LIVES_SECONDS))
            # Otherwise a backlog that takes longer than a life would grow for ever, and links would never be reached.
            patience = 1 if self._kill(int(line), folder) else min(2 * patience, MAX_PATIENCE)

    def _end(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Kill the parent, then the child that it made last."""
        process.kill()
        process.wait()
        assert process.stdout is not None
        with process.stdout:
            # Closed by the last who has it: the last child.
            for line in process.stdout:
                self._kill(int(line), folder)

    def _kill(self, child: int, folder: Path) -> bool:
        """Kill a child, and tell whether it had finished a run."""
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            # It ended by itself: the parent says so by its own end.
            return False
        self._world.tally.add("collectors killed")
        return self._count(folder / str(child), folder)

    def _count(self, file: Path, folder: Path) -> bool:
        """Count what a child wrote last, not what it did since; tell whether that is a run."""
        try:
            counts: dict[str, int] = json.loads(file.read_text())
        except (FileNotFoundError, ValueError):
            return False
        for name, number in counts.items():
            self._world.tally.add(f"collected {name}", number)
        if counts["failures"]:
            self._world.tally.fail(f"a collector failed: {(folder / 'log').read_text()[-2000:]}")
        return counts["runs"] > 0
