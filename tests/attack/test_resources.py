"""Whatever a stranger chooses has a bound: one client that takes all it can get keeps no other from being served.

GREEDY takes; HONEST comes then, and is served within PATIENCE_SECONDS. `bench.siege` is the same at full size.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from socket import SHUT_WR, SO_RCVBUF, SOL_SOCKET, socket
from urllib.parse import urlencode

import pytest

from bench import process_tree
from tests.attack.admin_session import FORM
from tests.attack.raw import PATIENCE_SECONDS, Raw, answers, ask, connect, rest_of
from tests.attack.target import LAYER, MANIFEST, Target, scope
from tests.images import digest_of

GREEDY, HONEST = "127.0.251.1", "127.0.251.2"
# Of transfers, and of those that have not said who they are.
PLACES = 16
LARGE = bytes(8 << 20)
REPOSITORY = "public/large"
BLOB = f"/v2/{REPOSITORY}/blobs/{digest_of(LARGE)}"
MEBIBYTE = 1 << 20


class SmallTarget(Target):
    """One process with few places."""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        server = {"addr": self.host, "workers": 1, "threads": 2, "max_slow_clients": PLACES}
        return super().configuration() | {"server": server}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallTarget]:
    """Run a server that few clients fill, with a large public blob."""
    small = SmallTarget(tmp_path_factory.mktemp("small"))
    try:
        small.start()
        small.furnish()
        small.push_blob(REPOSITORY, LARGE, small.bearer("alice", scope(REPOSITORY)))
        yield small
    finally:
        small.stop()


@contextmanager
def crowd(target: Target, number: int, request: str) -> Iterator[list[socket]]:
    """Open connections of GREEDY that send `request`, with its number for NUMBER, and read nothing."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(target.port, GREEDY)) for _ in range(number)]
        for which, sock in enumerate(sockets):
            sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
            sock.sendall(request.replace("NUMBER", str(which)).encode())
        yield sockets


def get(target: Target, path: str, *lines: str) -> Raw:
    """Be served as HONEST."""
    return ask(target.port, "\r\n".join([f"GET {path} HTTP/1.1", *lines]), address=HONEST)


def authorization(target: Target, account: str, *scopes: str) -> str:
    """Return a header line with a token."""
    return f"Authorization: {target.bearer(account, *scopes)}"


def test_slow_readers_of_one_client_keep_nobody_from_pulling(small: SmallTarget) -> None:
    line = authorization(small, "", scope(REPOSITORY, "pull"))
    request = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n"
    with crowd(small, 2 * PLACES, request) as readers:
        for reader in readers[:PLACES]:
            assert reader.recv(12).startswith(b"HTTP/1.1 ")

        answer = get(small, BLOB, line)

    assert answer.status == 200
    assert digest_of(answer.body) == digest_of(LARGE)


def test_slow_pushes_of_one_client_keep_nobody_from_pushing(small: SmallTarget) -> None:
    greedy = authorization(small, "alice", scope("alice/slow"))
    path = f"/v2/alice/slow/blobs/uploads/?digest={digest_of(LAYER)}"
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\n{greedy}\r\nContent-Length: 100\r\n\r\n<"
    with crowd(small, 2 * PLACES, request):
        line = authorization(small, "charlie", scope("charlie/app"))
        pushed = slowly(small, f"POST /v2/charlie/app/blobs/uploads/?digest={digest_of(LAYER)}", line, LAYER)

    assert pushed.status == 201


@pytest.mark.parametrize("half", ["GET /v2/ HTTP/1.1\r\nHost: x\r\n", "GET /v2", "G"])
def test_half_heads_of_one_client_turn_nobody_away(half: str, small: SmallTarget) -> None:
    """Slowloris: each holds what waits for those who have not said yet who they are."""
    with crowd(small, 4 * PLACES, half):
        answer = slowly(small, "GET /v2/", "Content-Length: 0", b"")

    assert answer.status == 401


def test_half_logins_of_one_client_turn_nobody_away(small: SmallTarget) -> None:
    request = f"POST /v2/token HTTP/1.1\r\nHost: x\r\n{FORM}\r\nContent-Length: 100\r\n\r\ngrant"
    with crowd(small, 4 * PLACES, request):
        answer = slowly(small, "POST /v2/token", FORM, b"grant_type=none")

    assert answer.status == 400


def test_chunk_extensions_cost_no_more_than_their_bytes(small: SmallTarget) -> None:
    """Plain chunks, so that much is read ahead, then 150,000 of one byte with an extension: a minute of CPU once."""
    line = authorization(small, "alice", scope("alice/chunks"))
    opened = ask(small.port, f"POST /v2/alice/chunks/blobs/uploads/ HTTP/1.1\r\n{line}", address=GREEDY)
    plain = b"10000\r\n" + bytes(65536) + b"\r\n"
    head = f"PATCH {opened.header('location')} HTTP/1.1\r\nHost: x\r\n{line}\r\nTransfer-Encoding: chunked\r\n\r\n"

    with connect(small.port, GREEDY) as sock:
        # Its bytes alone take a slow machine longer than others may be held up.
        sock.settimeout(4 * PATIENCE_SECONDS)
        sock.sendall(head.encode() + plain * 256 + b"1;a\r\nx\r\n" * 150_000 + b"0\r\n\r\n")
        came = sock.recv(65536)

    assert came.startswith((b"HTTP/1.1 202", b"HTTP/1.1 400"))


def test_an_upload_without_a_token_is_not_taken(small: SmallTarget) -> None:
    before = small.stored_bytes()
    with connect(small.port, GREEDY) as sock:
        head = f"POST /v2/alice/app/blobs/uploads/?digest={digest_of(b'')} HTTP/1.1\r\nHost: x"
        sock.sendall(f"{head}\r\nContent-Length: 999999999999\r\n\r\nxxx".encode())
        came = sock.recv(65536)

    assert came.startswith(b"HTTP/1.1 401")
    assert small.stored_bytes() == before


def test_manifests_of_tiny_values_are_refused_before_they_are_read(small: SmallTarget) -> None:
    """Four at once, 4 MiB each; somebody else is answered meanwhile."""
    line = authorization(small, "alice", scope("alice/tiny"))
    payload = MANIFEST[:-1] + b', "x": [' + b"[]," * 1_390_000 + b"[]]}"
    head = f"PUT /v2/alice/tiny/manifests/v1 HTTP/1.1\r\n{line}\r\nContent-Type: {json.loads(MANIFEST)['mediaType']}"

    with ThreadPoolExecutor(5) as clients:
        refused = [clients.submit(ask, small.port, head, body=payload, address=GREEDY) for _ in range(4)]
        answer = clients.submit(get, small, "/health")

    assert answer.result().status == 200
    assert {future.result().status for future in refused} == {400}


def test_many_who_guess_at_once_keep_nobody_from_pulling(small: SmallTarget) -> None:
    """Password checks have a door of their own: who waits before it takes no thread from pulls."""
    line = authorization(small, "", scope(REPOSITORY, "pull"))
    form = urlencode({"grant_type": "password", "service": "Docker Registry", "username": "guess", "password": ""})
    head = f"POST /v2/token HTTP/1.1\r\nHost: x\r\n{FORM}\r\nContent-Length: {len(form) + 2}\r\n\r\n{form}"
    with crowd(small, 10, f"{head}xNUMBER"):
        answer = get(small, BLOB, line)

    assert answer.status == 200


# ------------------------------------------------------------------ memory


def flood_names(target: Target, number: int) -> None:
    """Log in with names of 60 KiB."""

    def log_in(which: int) -> int:
        fields = {"grant_type": "password", "service": "Docker Registry", "client_id": "x", "password": "x"}
        body = urlencode(fields | {"username": f"{which:060}" * 1000}).encode()
        return ask(
            target.port, f"POST /v2/token HTTP/1.1\r\n{FORM}", body=body, address=f"127.0.252.{which % 250}"
        ).status

    with ThreadPoolExecutor(2) as clients:
        assert set(clients.map(log_in, range(number))) <= {400, 401, 429, 503}


def flooding(head: str) -> Callable[[Target, int], None]:
    """Return what sends so many requests, each with its number for NUMBER, twenty at once."""

    def flood(target: Target, number: int) -> None:
        host = "" if "Host:" in head else "\r\nHost: x"
        for start in range(0, number, 20):
            requests = "".join(
                f"{head}{host}\r\n\r\n".replace("NUMBER", f"{which:07}") for which in range(start, start + 20)
            )
            with connect(target.port, GREEDY) as sock:
                sock.sendall(requests.encode())
                sock.shutdown(SHUT_WR)
                came = rest_of(sock)
            assert all(answer.status < 500 for answer in answers(came))

    return flood


FLOODS: dict[str, tuple[int, Callable[[Target, int], None]]] = {
    "names": (90, flood_names),
    "tokens": (900, flooding("GET /v2/ HTTP/1.1\r\nAuthorization: Bearer NUMBER." + "x" * 7000)),
    "paths": (1500, flooding(f"GET /v2/NUMBER{'/a' * 1700}/tags/list HTTP/1.1")),
    "hosts": (900, flooding("GET /v2/ HTTP/1.1\r\nHost: NUMBER." + "x" * 7000)),
    "addresses": (900, flooding("GET /v2/ HTTP/1.1\r\nX-Forwarded-For: NUMBER" + "1" * 7000)),
    "scopes": (1500, flooding(f"GET /v2/token?scope=repository:NUMBER{'/a' * 1700}:pull HTTP/1.1")),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_no_flood_of_strangers_is_remembered(kind: str, small: SmallTarget) -> None:
    """Each sends above 5 MiB of what might be remembered: without a bound the kernel ends the server some day."""
    number, send = FLOODS[kind]
    send(small, number // 5)
    before = private_bytes(small)

    send(small, number)

    assert private_bytes(small) - before < 4 * MEBIBYTE


def private_bytes(target: Target) -> int:
    """Return what the workers hold that nobody shares."""
    return sum(process_tree.field(pid, "smaps_rollup", "Private_Dirty") for pid in target.workers())


def slowly(target: Target, request: str, line: str, body: bytes) -> Raw:
    """Send a request of HONEST in two packets, the second once the first was read."""
    head = f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n" if body else "\r\n"
    with connect(target.port, HONEST) as sock:
        sock.settimeout(PATIENCE_SECONDS)
        sock.sendall(head.encode()[:20])
        get(target, "/health")
        sock.sendall(head.encode()[20:])
        get(target, "/health")
        sock.sendall(body)
        came = rest_of(sock)
    (answer,) = answers(came)
    return answer
