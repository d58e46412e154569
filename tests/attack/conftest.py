"""One server for all attacks: none of them may leave it worse than it was."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.attack.raw import Raw, ask
from tests.attack.target import Target

_addresses = (f"127.0.{third}.{fourth}" for third, fourth in itertools.product(range(10, 250), range(1, 250)))

Ask = Callable[..., Raw]


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Run the server that is attacked; fail when an attack left an error in its log."""
    target = Target(tmp_path_factory.mktemp("attack"))
    try:
        target.start()
        target.furnish()
        yield target
        target.end()
        assert target.errors() == []
    finally:
        target.stop()


@pytest.fixture
def address() -> str:
    """Return an address that nobody else attacks from."""
    return next(_addresses)


@pytest.fixture
def send(target: Target, address: str) -> Ask:
    """Return a function that sends one request from an address of the test's own: `send("GET /v2/", "Header: x")`."""

    def send_one(request: str, *lines: str, body: bytes = b"") -> Raw:
        return ask(target.port, "\r\n".join([f"{request} HTTP/1.1", *lines]), body=body, address=address)

    return send_one
