"""A server whose metrics are read."""

from collections.abc import Iterator

import pytest

from tests.clients.server import started
from tests.monitoring.scrape import MonitoredServer


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoredServer]:
    """Run a server with two workers that count."""
    server = MonitoredServer(tmp_path_factory.mktemp("monitored"))
    with started(server):
        yield server
