"""A server with a directory: its workers look accounts up again, and a silent directory blocks no pull."""

import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.clients.server import Server, password_of, started
from tests.identity_providers.slapd import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, Slapd, add_group, person
from tests.ports import free_port

pytestmark = pytest.mark.client("slapd")


class CompanyServer(Server):
    """A server with one worker, whose directory is at `url`."""

    url, timeout = "", "5s"

    def configuration(self) -> dict[str, object]:
        configuration: Any = super().configuration()
        configuration["server"]["workers"] = 1
        configuration["acl"].append({"group": "registry-new", "name": "team/*", "actions": ["pull"]})
        configuration["auth"] = configuration.get("auth", {}) | {
            "ldap": {
                "url": self.url,
                "bind_dn": ADMIN,
                "bind_password": ADMIN_PASSWORD,
                "users": {"base": PEOPLE},
                "groups": {"base": GROUPS, "mirror": ["registry-*"]},
                "cache": "2s",
                "timeout": self.timeout,
            }
        }
        return dict(configuration)


@pytest.fixture
def server(tmp_path: Path, slapd: Slapd) -> Iterator[CompanyServer]:
    company = CompanyServer(tmp_path)
    company.url = slapd.url
    with started(company) as running:
        yield running


def login(server: Server, name: str, password: str) -> tuple[int, list[str]]:
    """Return the status of a login, and the actions on team/app that its token has."""
    credentials = "Basic " + b64encode(f"{name}:{password}".encode()).decode()
    path = "/v2/token?service=Docker+Registry&scope=repository:team/app:pull"
    answer = server.request("GET", path, authorization=credentials)
    if answer.status != 200:
        return answer.status, []
    claims = jwt.decode(json.loads(answer.body)["token"], options={"verify_signature": False})
    return answer.status, [action for entry in claims["access"] for action in entry["actions"]]


def test_a_changed_group_and_a_person_who_left_count_in_a_running_server(server: CompanyServer, slapd: Slapd) -> None:
    assert login(server, "lara", "lara of the directory") == (200, [])

    with slapd.connection() as connection:
        add_group(connection, "registry-new", [person("lara")])
    assert eventually(lambda: login(server, "lara", "lara of the directory") == (200, ["pull"]))

    with slapd.connection() as connection:
        connection.delete(person("lara"))
    assert eventually(lambda: login(server, "lara", "lara of the directory")[0] == 401)
    assert eventually(lambda: not server.rows("SELECT 1 FROM accounts_account WHERE name = 'lara' AND is_active"))


class SilentDirectory:
    """A server that takes connections and answers nothing, until it closes them all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.url = f"ldap://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._is_asked = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def wait_until_asked(self, times: int) -> bool:
        """Wait for so many connections; what asks waits for an answer from then on."""
        return all(self._is_asked.acquire(timeout=60) for _ in range(times))

    def close(self) -> None:
        """Close the connections: who asked gets no answer."""
        with suppress(OSError):
            # Wakes `accept`, which a close would not. A second time there is nothing to wake.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in (*self._open, self._listener):
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._open.append(self._listener.accept()[0])
                self._is_asked.release()


def test_a_directory_that_never_answers_delays_no_local_login(tmp_path: Path, slapd: Slapd) -> None:
    """By the order of events: the directory ends its silence after the local login was answered, not before."""
    company, silent = CompanyServer(tmp_path), SilentDirectory()
    # As long as the client of these tests waits: no time-out ends the silence early.
    company.url, company.timeout = silent.url, "1m"
    with ExitStack() as ends:
        ends.callback(silent.close)
        server = ends.enter_context(started(company))
        pool = ends.enter_context(ThreadPoolExecutor(8))
        waiting = [pool.submit(login, server, f"person{number}", "x") for number in range(8)]
        assert silent.wait_until_asked(times=8)

        local = login(server, "alice", password_of("alice"))

        assert local[0] == 200
        assert not any(future.done() for future in waiting)
        silent.close()
        assert {future.result()[0] for future in waiting} == {503}


def eventually(holds: Callable[[], bool]) -> bool:
    """Tell whether something holds within more than the cache time of the servers here."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.2)
    return False
