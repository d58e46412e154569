"""Two hundred slow clients that pull, and two hundred that push, leave the others a server as shipped."""

from collections.abc import Iterator

import pytest

from server.listener import READ_SECONDS
from tests.clients.server import Server, started
from tests.clients.slow_crowd import REPOSITORY, SlowCrowd, State, prepare
from tests.project.talk import Talk

CROWD = 200
ROUNDS = 20
# A limit only: what hangs fails, before the server gives up a client that sends nothing.
TIMEOUT_SECONDS = READ_SECONDS - 5
PATHS = ("/health", "/v2/", f"/v2/{REPOSITORY}/manifests/v1")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server for the crowd alone."""
    server = Server(tmp_path_factory.mktemp("shipped"))
    with started(server):
        yield server


def answers(server: Server, token: str) -> set[tuple[str, int]]:
    """Ask again and again, on a connection each time and on one that is kept, and return what came."""
    found = set()
    with Talk(server) as kept:
        for path in PATHS * ROUNDS:
            with Talk(server) as fresh:
                for talk in (kept, fresh):
                    talk.sock.settimeout(TIMEOUT_SECONDS)
                    found.add((path, talk.ask("GET", path, f"Authorization: Bearer {token}").status))
    return found


@pytest.mark.parametrize(("pulls", "pushes"), [(CROWD, 0), (0, CROWD), (CROWD, CROWD)], ids=["pull", "push", "both"])
def test_slow_clients_leave_the_others_a_server(shipped: Server, pulls: int, pushes: int) -> None:
    asked = prepare(shipped, pulls, pushes)
    with SlowCrowd(asked) as crowd:
        assert crowd.wait_until_under_way() == State(pulls, pushes, 0, [])

        assert answers(shipped, asked.token) == {(path, 200) for path in PATHS}

        assert crowd.finish() == State(pulls, pushes, pushes, [])
