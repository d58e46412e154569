"""What happens to the server under load, one thing after the other.

A restart makes memory small again, so the whole server and its workers end in the first quarter only: from the second
on, the same processes serve.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import yaml

from bench.soak.world import GRACE, Rights, World
from tests.clients.server import ROOT

PERIOD_SECONDS = 15.0
PATIENCE_SECONDS = 120.0


class Events:
    """Everything that an operator does, and what happens to one."""

    def __init__(self, world: World, seconds: float) -> None:
        """Plan a soak of `seconds`."""
        self._world = world
        self._ends_after = seconds / 4
        self._period = min(PERIOD_SECONDS, seconds / 16)
        self._chance: random.Random = world.chance("events")

    def act(self) -> None:
        """Do one thing after the other until the soak is over."""
        started, number = time.monotonic(), 0
        harmless: list[Callable[[], None]] = [self.change_rights, self.reload, self.collect, self.check]
        harmful: list[Callable[[], None]] = [self.kill_worker, self.restart, self.end_worker]
        while not self._world.is_over.wait(self._period):
            may_end = time.monotonic() - started < self._ends_after
            events = [event for pair in zip(harmful, harmless, strict=False) for event in pair] if may_end else harmless
            events[number % len(events)]()
            number += 1

    def change_rights(self) -> None:
        """Take RESTRICTED its right, or give it back, and import that beside the running server."""
        world, server = self._world, self._world.server
        world.rights = None
        server.is_granted = not server.is_granted
        self._write_configuration()
        self._manage("loadconfig")
        world.rights = Rights(server.is_granted)

    def reload(self) -> None:
        """Tell the master to import its configuration, which is as it was."""
        self._world.ledger.count("SIGHUP: the configuration is imported")
        os.kill(self._master, signal.SIGHUP)

    def collect(self) -> None:
        """Collect garbage by hand; another run may be at work."""
        self._manage("gc", "--grace-period", GRACE, statuses=(0, 3))

    def check(self) -> None:
        """Compare rows with files beside the running server."""
        self._manage("fsck")

    def kill_worker(self) -> None:
        """Kill a worker, as the kernel does when memory runs out."""
        with self._world.ledger.disturbed("kill -9: a worker ended with its connections"):
            self._end_one(signal.SIGKILL)

    def end_worker(self) -> None:
        """End a worker in good order."""
        with self._world.ledger.disturbed("SIGTERM: a worker ended"):
            self._end_one(signal.SIGTERM)

    def restart(self) -> None:
        """Stop the server and start it again."""
        with self._world.ledger.disturbed("SIGTERM: the server was restarted"):
            self._world.server.end()
            self._world.server.start()

    @property
    def _master(self) -> int:
        process = self._world.server.process
        assert process is not None
        return process.pid

    def _end_one(self, how: signal.Signals) -> None:
        server = self._world.server
        worker, number = self._chance.choice(server.workers()), len(server.workers())
        os.kill(worker, how)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while worker in server.workers() or len(server.workers()) < number:
            if time.monotonic() > deadline:
                self._world.ledger.fault(f"no worker followed the one that {how.name} ended")
                return
            time.sleep(0.05)
        server.wait_until_healthy()

    def _write_configuration(self) -> None:
        """Replace the file in one step: somebody may read it at this moment."""
        file = self._world.server.folder / "config.yaml"
        written = file.with_suffix(".new")
        written.write_text(yaml.safe_dump(self._world.server.configuration()))
        written.replace(file)

    def _manage(self, *words: str, statuses: tuple[int, ...] = (0,)) -> None:
        self._world.ledger.count(f"manage.py {words[0]}")
        manage(self._world, *words, statuses=statuses)


def manage(world: World, *words: str, statuses: tuple[int, ...] = (0,)) -> str:
    """Run a command of manage.py, which has to end with one of `statuses`, and return what it printed."""
    command, output = [sys.executable, "manage.py", *words], ""
    environment = world.server.environment()
    with suppress(subprocess.TimeoutExpired):
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        output = f"{ended.stdout}{ended.stderr}"
        if ended.returncode in statuses:
            return output
        output = f"ended with {ended.returncode}: {output}"
    world.ledger.fault(f"manage.py {' '.join(words)} {output[-2000:] or 'did not end'}")
    return output
