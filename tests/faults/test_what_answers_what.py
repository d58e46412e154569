"""The table in docs/operations.md of what answers what while something is down: each row as servers answer."""

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests import documents
from tests.faults import outages
from tests.faults.outages import Outage
from tests.faults.questions import Clients
from tests.faults.registry import PATIENCE_SECONDS, Registry

DOCUMENT = "docs/operations.md"
FIRST_COLUMN = "what is down"
Begin = Callable[[Path], AbstractContextManager[Outage]]

ON_BOTH: dict[str, Begin] = {"nothing": outages.nothing, "the storage is gone": outages.gone_storage}
ON_SQLITE: dict[str, Begin] = {
    "the disk is full": outages.full_disk,
    "the file system is read-only": outages.read_only_disk,
    "another program holds SQLite's lock": outages.held_lock,
}
ON_POSTGRESQL: dict[str, Begin] = {
    "PostgreSQL is read-only": outages.read_only_postgresql,
    "PostgreSQL is gone": outages.gone_postgresql,
}
IS_ON_POSTGRESQL = os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres")
HERE = ON_BOTH | (ON_POSTGRESQL if IS_ON_POSTGRESQL else ON_SQLITE)


def line(*cells: str) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def documented() -> dict[str, str]:
    """Return the rows of the table in the document, by their first cell."""
    _, _, section = documents.text(DOCUMENT).partition("\n## When something is down\n")
    rows = [row for row in section.split("\n## ")[0].splitlines() if row.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def test_the_table_has_a_row_for_each_outage() -> None:
    assert list(documented()) == [FIRST_COLUMN, *ON_BOTH, *ON_SQLITE, *ON_POSTGRESQL]


@pytest.mark.parametrize("row", HERE)
def test_the_server_answers_as_the_table_says(row: str, tmp_path: Path) -> None:
    with HERE[row](tmp_path) as outage:
        registry = outage.registry
        try:
            registry.start()
            clients = Clients(registry)
            registry.pass_time()
            with outage.away():
                wait_for_health(registry, is_well=row == "nothing")
                during = clients.ask()
            after = {} if outage.is_for_good else asked_again(registry, clients)
        finally:
            registry.stop()

    assert line(FIRST_COLUMN, *during) == documented()[FIRST_COLUMN]
    assert line(row, *during.values()) == documented()[row]
    assert outage.is_for_good or line("nothing", *after.values()) == documented()["nothing"]


def asked_again(registry: Registry, clients: Clients) -> dict[str, str]:
    """Return what is answered once the registry says that all is well again."""
    wait_for_health(registry, is_well=True)
    registry.pass_time()
    return clients.ask()


def wait_for_health(registry: Registry, *, is_well: bool) -> None:
    """Return once /health says so; it tries to write once in a few seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (json.loads(registry.request("GET", "/health").body)["status"] == "ok") != is_well:
        assert time.monotonic() < deadline, "nothing changes"
        time.sleep(0.1)
