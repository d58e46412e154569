"""What an exception leaves behind that no view should raise: no connection, and no thread less."""

from collections.abc import Iterator

import pytest

from tests.clients.server import started
from tests.project.failing import BEGUN_PREFIX, PREFIX
from tests.project.talk import SmallServer, Talk, has_connections, until


class FailingServer(SmallServer):
    """A server whose application fails where it is asked to."""

    def command(self) -> list[str]:
        """Return what starts it."""
        return [*super().command(), "tests.project.failing:application"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingServer]:
    failing = FailingServer(tmp_path_factory.mktemp("failing"))
    with started(failing):
        yield failing


@pytest.mark.parametrize("error", ["ValueError", "MemoryError", "SystemExit"])
def test_an_application_that_fails_is_a_500_and_ends_the_connection(server: FailingServer, error: str) -> None:
    # More than there are threads: one that were lost with each would be missed.
    for _ in range(2 * server.threads):
        with Talk(server) as talk:
            assert talk.ask("GET", f"{PREFIX}{error}").status == 500
            assert talk.is_ended()

    until(lambda: not has_connections(server))
    assert server.request("GET", "/v2/").status == 401


@pytest.mark.parametrize("path", [f"{PREFIX}KeyboardInterrupt", f"{PREFIX}GeneratorExit"])
def test_what_even_gunicorn_does_not_answer_ends_the_connection(server: FailingServer, path: str) -> None:
    for _ in range(2 * server.threads):
        with Talk(server) as talk:
            talk.send("GET", path)
            assert talk.is_ended()

    until(lambda: not has_connections(server))
    assert server.request("GET", "/v2/").status == 401


@pytest.mark.parametrize("error", ["ValueError", "SystemExit", "KeyboardInterrupt"])
def test_an_answer_that_fails_in_its_middle_is_cut(server: FailingServer, error: str) -> None:
    for _ in range(2 * server.threads):
        with Talk(server) as talk:
            talk.send("GET", f"{BEGUN_PREFIX}{error}")
            assert talk.sock.makefile("rb").read().endswith(b"\r\n\r\nhello")

    until(lambda: not has_connections(server))
    assert server.request("GET", "/v2/").status == 401
