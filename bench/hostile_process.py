"""The process of hostile clients, started and ended."""

import json
import subprocess
import sys
import threading
from typing import Self

from bench.hostile import Orders
from tests.clients.server import ROOT

READY_SECONDS = 60.0
END_SECONDS = 60.0


class Hostile:
    """Hostile clients at work during a block; `answers` afterwards."""

    def __init__(self, orders: Orders) -> None:
        """Start nothing yet."""
        self._orders = orders
        self._is_ready = threading.Event()
        self.answers: dict[str, int] = {}

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.hostile", self._orders.json()]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()
        self._reader.join()

    def wait_until_ready(self) -> None:
        """Return once all of them have begun, or READY_SECONDS later: not everybody may be let in."""
        self._is_ready.wait(READY_SECONDS)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.strip() == "ready":
                    self._is_ready.set()
                else:
                    self.answers = json.loads(line)
