"""A registry with the contents of the demo, and a browser."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.demo import DemoServer, age, fill
from tests.clients.program import Program, skopeo_in
from tests.clients.server import started


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    """Run a registry with the contents of the demo; tests add to it and remove only what they have added."""
    with started(DemoServer(tmp_path_factory.mktemp("demo"))) as server:
        fill(server)
        age(server)
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for the tests of a module; playwright's event loop would keep others from the database."""
    with chromium() as running:
        yield running


@pytest.fixture
def skopeo(demo: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Program]:
    """Return a function that makes a skopeo logged in with a name and a password."""

    def logged_in(account: str, password: str) -> Program:
        program = skopeo_in(tmp_path_factory.mktemp(account), demo.host)
        program.run("login", "--username", account, "--password-stdin", demo.host, stdin=password)
        return program

    return logged_in
