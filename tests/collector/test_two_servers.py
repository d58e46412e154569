"""Two servers on one database and one storage, each with its workers: each interval has one run."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.server import Server
from tests.collector.gunicorn_conf import __file__ as gunicorn_conf
from tests.databases import drop_database

INTERVALS = 2
WORKERS = 2


class Replica(Server):
    """A server whose collection is due a day after the last; beside `other`, on all that it has."""

    def __init__(self, folder: Path, other: Server | None = None) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.looks_folder = folder / "looks"
        self.looks_folder.mkdir()
        if other is not None:
            drop_database(self.database_url)
            self.database_url, self.data = other.database_url, other.data

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        server = {"addr": self.host, "workers": WORKERS}
        return super().configuration() | {"server": server, "garbage_collector": {"interval": "24h"}}

    def looks(self) -> list[int]:
        """Return how often each worker looked for what is due."""
        files = [self.looks_folder / str(worker) for worker in self.workers()]
        return [file.stat().st_size if file.exists() else 0 for file in files]


@pytest.fixture
def replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Replica]]:
    """Run two replicas, which look for what is due all the time."""
    monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--config {gunicorn_conf}")
    first = Replica(tmp_path / "first")
    second = Replica(tmp_path / "second", first)
    try:
        for replica in (first, second):
            monkeypatch.setenv("LOOKS", str(replica.looks_folder))
            replica.start()
            wait_until(lambda: len(replica.workers()) == WORKERS)  # noqa: B023 - called at once
        yield [first, second]
    finally:
        second.end()
        first.stop()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def states(replica: Replica) -> list[str]:
    return [state for (state,) in replica.rows("SELECT state FROM gc_run ORDER BY id")]


def let_all_look(replicas: list[Replica]) -> None:
    """Return once every worker has looked twice: the first look may have begun before, or started what runs still."""
    before = [replica.looks() for replica in replicas]
    for replica, counts in zip(replicas, before, strict=True):
        wait_until(lambda: all(map(_has_looked_twice, counts, replica.looks())))  # noqa: B023 - called at once


def _has_looked_twice(before: int, now: int) -> bool:
    return now >= before + 2


def test_each_interval_has_one_run_whichever_replica_does_it(replicas: list[Replica]) -> None:
    for interval in range(1, INTERVALS + 1):
        # Who began a run ended it by its next look; who began another meanwhile ended that by the one after.
        let_all_look(replicas)
        let_all_look(replicas)

        assert states(replicas[0]) == ["done"] * interval
        replicas[0].execute("UPDATE gc_run SET started_at = '2020-01-01 00:00:00'")
