"""Processes that collect all the time, each killed now and then in the middle of whatever it does."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.clients.server import ROOT
from tests.stress.world import World

LIVES_SECONDS = (3.0, 8.0)
START_SECONDS = 30.0
PACES = ("real", "hurry")


class Collectors:
    """A collector of each pace, with one grace period; a killed one is succeeded at once."""

    def __init__(self, world: World, grace_seconds: float, name: str) -> None:
        self._world, self._grace, self._name = world, grace_seconds, name
        self._folder = world.server.folder / "collectors"
        self._folder.mkdir(exist_ok=True)
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
        chance, life = self._world.chance(f"collector {self._name} {pace}"), 0
        while not self._is_over.is_set():
            life += 1
            self._live(pace, self._folder / f"{self._name}-{pace}-{life}", chance)

    def _live(self, pace: str, file: Path, chance: random.Random) -> None:
        with file.with_suffix(".log").open("wb") as log:
            command = [sys.executable, "-m", "tests.stress.spinner", str(self._grace), pace, str(file)]
            process = subprocess.Popen(command, cwd=ROOT, env=self._world.server.environment(), stdout=log, stderr=log)
        try:
            self._wait_for(file, process)
            self._is_over.wait(chance.uniform(*LIVES_SECONDS))
        finally:
            process.kill()
        if process.wait() != -signal.SIGKILL:
            self._world.tally.fail(f"a collector ended: {file.with_suffix('.log').read_text()[-2000:]}")
            self._is_over.wait(1)
        self._world.tally.add("collectors killed")
        self._count(file)

    def _wait_for(self, file: Path, process: subprocess.Popen[bytes]) -> None:
        """Return once it collects: to load Django takes a while."""
        deadline = time.monotonic() + START_SECONDS
        while not file.exists() and process.poll() is None and time.monotonic() < deadline:
            if self._is_over.wait(0.1):
                return

    def _count(self, file: Path) -> None:
        """Count what the last of them wrote; one killed while it wrote, or before, is not counted."""
        try:
            counts: dict[str, int] = json.loads(file.read_text())
        except (FileNotFoundError, ValueError):
            return
        for name, number in counts.items():
            self._world.tally.add(f"collected {name}", number)
        if counts["failures"]:
            self._world.tally.fail(f"a collector failed: {file.with_suffix('.log').read_text()[-2000:]}")
