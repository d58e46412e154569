"""What strangers send is not kept: names, tokens, paths and headers, each as long as the server takes them."""

import http.client
import itertools
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.clients.server import Server

HEADER_CHARACTERS = 8000
FIRST = 5
# What is kept makes the memory grow in every round; a process that finds its size grows now and then.
BYTES_OF_A_ROUND = 1024 * 1024
ROUNDS = 8

Sent = tuple[str, str, dict[str, str], bytes | None]


class OneWorker(Server):
    """A server whose memory is in one process."""

    def configuration(self) -> dict[str, object]:
        """Start one worker."""
        # As many as a test of memory needs would be refused before they are read.
        server = {"addr": self.host, "workers": 1, "limits": {"logins_per_minute": 0}}
        return super().configuration() | {"server": server}

    def memory(self) -> int:
        """Return the bytes that the workers have in memory."""
        status = [Path(f"/proc/{pid}/status").read_text() for pid in self.workers()]
        return 1024 * sum(int(text.partition("VmRSS:")[2].split()[0]) for text in status)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneWorker]:
    server = OneWorker(tmp_path_factory.mktemp("memory"))
    server.start()
    yield server
    server.stop()


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


def form(**fields: str) -> bytes:
    return urlencode({"service": "Docker Registry", **fields}).encode()


def long(text: str, characters: int = HEADER_CHARACTERS) -> str:
    """Return `text` with as many characters, unlike any other."""
    return text.ljust(characters, "x")


# By what is long, a request for each number.
KINDS: dict[str, Callable[[str], Sent]] = {
    "name": lambda n: ("GET", "/v2/token", basic(long(n, 5900), "p"), None),
    "name with a slash": lambda n: ("GET", "/api/v1/whoami", basic(long(f"{n}/", 5900), "p"), None),
    "password": lambda n: ("GET", "/v2/token", basic("alice", long(n, 5900)), None),
    "name in a form": lambda n: (
        *("POST", "/v2/token", {}),
        form(grant_type="password", username=long(n, 60_000), password="p"),
    ),
    "refresh token": lambda n: (
        *("POST", "/v2/token", {}),
        form(grant_type="refresh_token", refresh_token=long(f"rrt_{n}", 60_000)),
    ),
    "token": lambda n: ("GET", "/v2/", {"Authorization": f"Bearer {long(n, 7000)}"}, None),
    "path": lambda n: ("GET", f"/v2/{long(n, 7000)}/manifests/v1", {}, None),
    "query": lambda n: ("GET", f"/v2/?{long(n, 7000)}", {}, None),
    "host": lambda n: ("GET", "/v2/", {"Host": long(n)}, None),
    "address": lambda n: ("GET", "/v2/", {"X-Forwarded-For": long(n), "Forwarded": f"for={long(n)}"}, None),
    "session": lambda n: ("GET", "/admin/", {"Cookie": f"registry_login={long(n, 7900)}"}, None),
    "page": lambda n: ("GET", f"/admin/{long(n, 7000)}", {"Accept-Language": long(n), "User-Agent": long(n)}, None),
}


def grows_little(server: OneWorker, send: Callable[[], int]) -> bool:
    """Send a round of requests, and tell whether the server has kept less than a third of their bytes."""
    before, sent = server.memory(), 0
    while sent < BYTES_OF_A_ROUND:
        sent += send()
    return server.memory() - before < sent // 3


def test_what_strangers_send_is_not_kept(server: OneWorker) -> None:
    numbers = map(str, itertools.count(1_000_000))
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:

        def send(kind: str) -> int:
            """Send one request, and return how many bytes it has."""
            method, path, headers, body = KINDS[kind](next(numbers))
            connection.request(method, path, body, headers)
            connection.getresponse().read()
            return sum(map(len, [path, *headers.values(), body or b""]))

        for kind in KINDS:
            for _ in range(FIRST):
                send(kind)
        # No more bcrypt: what is refused before it must not be kept either.
        server.execute(
            "UPDATE accounts_failedlogin SET forgiven_at = '2999-01-01 00:00:00+00:00' WHERE network = '127.0.0.1'"
        )
        for kind in KINDS:
            assert any(grows_little(server, partial(send, kind)) for _ in range(ROUNDS)), kind
