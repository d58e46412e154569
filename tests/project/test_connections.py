"""Connections to a real server: which keep a thread, and which get a 503."""

import json
import resource
import select
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.server import size_of, started
from tests.images import digest_of
from tests.project.talk import (
    PATIENCE_SECONDS,
    SmallServer,
    Talk,
    bearer,
    has_connections,
    open_upload,
    talks,
    until,
)

CROWD = 30
CHUNKED = "Transfer-Encoding: chunked"
# Far more than the kernel keeps for a client that does not take it.
LARGE = bytes(32 * 1024 * 1024)
SLOW_BUFFER_BYTES = 16 * 1024


class RoomyServer(SmallServer):
    """A server of one process that waits for more slow clients than it has connections to PostgreSQL."""

    max_slow_clients = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    """Run a server with few threads for the tests of this file."""
    small = SmallServer(tmp_path_factory.mktemp("small"))
    with started(small):
        yield small


@pytest.fixture(autouse=True)
def _alone(server: SmallServer) -> None:
    """Begin once the server has left the clients of the test before: until then they have places."""
    until(lambda: not has_connections(server))


def status_of(server: SmallServer, path: str = "/health") -> int:
    """Return how a request on a connection of its own is answered."""
    with Talk(server) as talk:
        return talk.ask("GET", path).status


def push_blob(server: SmallServer, authorization: str, content: bytes) -> str:
    """Push a blob and return its path."""
    digest, length = digest_of(content), f"Content-Length: {len(content)}"
    with Talk(server) as talk:
        path = f"/v2/alice/app/blobs/uploads/?digest={digest}"
        assert talk.ask("POST", path, authorization, length, body=content).status == 201
    return f"/v2/alice/app/blobs/{digest}"


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_one_connection_serves_one_request_after_another(server: SmallServer) -> None:
    with Talk(server) as talk:
        statuses = [
            talk.ask("GET", "/health").status,
            talk.ask("HEAD", "/health").status,
            talk.ask("GET", "/v2/").status,
            talk.ask("GET", "/v2/alice/app/manifests/none", bearer(server)).status,
            talk.ask("GET", "/nothing-there").status,
            talk.ask("GET", "/health").status,
        ]

    assert statuses == [200, 200, 401, 404, 404, 200]


def test_idle_connections_keep_no_thread(server: SmallServer) -> None:
    with talks(server, CROWD) as quiet:
        assert [talk.ask("GET", "/health").status for talk in quiet] == [200] * CROWD

        assert status_of(server) == 200
        assert [talk.ask("GET", "/health").status for talk in quiet] == [200] * CROWD


def test_connections_without_a_request_keep_no_thread(server: SmallServer) -> None:
    with talks(server, CROWD) as silent:
        assert status_of(server) == 200
        assert [talk.ask("GET", "/health").status for talk in silent] == [200] * CROWD


def test_more_connections_than_threads_are_all_served(server: SmallServer) -> None:
    together = threading.Barrier(CROWD)

    def use(talk: Talk) -> list[int]:
        together.wait(PATIENCE_SECONDS)
        return [talk.ask("GET", "/health").status for _ in range(10)]

    with talks(server, CROWD) as crowd, ThreadPoolExecutor(CROWD) as clients:
        assert list(clients.map(use, crowd)) == [[200] * 10] * CROWD


def test_an_incomplete_request_keeps_no_thread(server: SmallServer) -> None:
    with talks(server, server.max_slow_clients) as half:
        for talk in half:
            talk.sock.sendall(talk.head("GET", "/health")[:-2])

        assert status_of(server) == 200
        for talk in half:
            talk.sock.sendall(b"\r\n")
        assert [talk.answer().status for talk in half] == [200] * server.max_slow_clients


@pytest.mark.parametrize("line", [CHUNKED, "Content-Length: 10"], ids=["chunked", "with a length"])
def test_a_body_that_comes_slowly_keeps_no_thread(server: SmallServer, line: str) -> None:
    authorization = bearer(server)
    uploads = [open_upload(server, authorization) for _ in range(server.max_slow_clients)]
    with talks(server, server.max_slow_clients) as slow:
        for talk, upload in zip(slow, uploads, strict=True):
            talk.send("PATCH", upload, authorization, line, body=b"5\r\nhello\r\n" if line == CHUNKED else b"hello")

        assert status_of(server) == 200
        for talk in slow:
            talk.sock.sendall(b"5\r\nworld\r\n0\r\n\r\n" if line == CHUNKED else b"world")
        assert [talk.answer().headers["Range"] for talk in slow] == ["0-9"] * server.max_slow_clients


@pytest.mark.parametrize("line", [CHUNKED, "Content-Length: 5"], ids=["chunked", "with a length"])
def test_an_upload_beyond_the_limit_gets_a_retry_after(server: SmallServer, line: str) -> None:
    authorization = bearer(server)
    uploads = [open_upload(server, authorization) for _ in range(server.max_slow_clients + 1)]
    with talks(server, len(uploads)) as slow:
        for talk, upload in zip(slow, uploads, strict=True):
            talk.send("PATCH", upload, authorization, line, body=b"5\r\nhell" if line == CHUNKED else b"hell")
        # Whichever the server comes to last.
        refused = _refused(slow)
        answer, upload = refused.answer(), uploads[slow.index(refused)]
        slow.remove(refused)

        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
        assert _errors(answer) == ["UNAVAILABLE"]
        assert status_of(server, "/v2/") == 401
        for talk in slow:
            talk.sock.sendall(b"o\r\n0\r\n\r\n" if line == CHUNKED else b"o")
        assert [talk.answer().status for talk in slow] == [202] * server.max_slow_clients
        with Talk(server) as again:
            assert again.ask("PATCH", upload, authorization, "Content-Length: 5", body=b"hello").status == 202


@pytest.mark.parametrize("kind", ["head", "token", "%74oken"])
def test_unauthenticated_clients_take_no_place_of_transfers_and_get_a_retry_after(
    server: SmallServer, kind: str
) -> None:
    """Neither half of a head nor half of a form keeps who may push from it: nobody has said yet who they are."""
    authorization = bearer(server)
    with talks(server, server.max_slow_clients + 1) as strangers, talks(server, server.max_slow_clients) as slow:
        refused = _crowd(server, strangers, kind)
        answer = refused.answer()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert _errors(answer) == ["UNAVAILABLE"]
        assert refused.is_ended()

        uploads, before = [open_upload(server, authorization) for _ in slow], _begun(server)
        for talk, upload in zip(slow, uploads, strict=True):
            talk.send("PATCH", upload, authorization, "Content-Length: 5", body=b"hell")
        # The server waits for their last byte.
        until(lambda: _begun(server) == before + server.max_slow_clients)
        for talk in slow:
            talk.sock.sendall(b"o")

        assert [talk.answer().status for talk in slow] == [202] * server.max_slow_clients


def test_a_manifest_that_comes_slowly_is_a_transfer(server: SmallServer) -> None:
    authorization = bearer(server)
    with talks(server, server.max_slow_clients + 1) as strangers, Talk(server) as slow:
        _crowd(server, strangers, "head")

        slow.send("PUT", "/v2/alice/app/manifests/one", authorization, "Content-Length: 2", body=b"{")
        assert status_of(server) == 200
        slow.sock.sendall(b"}")

        assert slow.answer().status == 400


def test_a_download_beyond_the_limit_gets_a_retry_after(server: SmallServer) -> None:
    authorization = bearer(server)
    large, small = push_blob(server, authorization, LARGE), push_blob(server, authorization, b"small")
    with talks(server, server.max_slow_clients, SLOW_BUFFER_BYTES) as slow:
        for talk in slow:
            talk.send("GET", large, authorization)
            # A place is taken before anything of the answer goes out.
            assert talk.sock.recv(1)

        with Talk(server) as refused:
            answer = refused.ask("GET", large, authorization)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
            assert _errors(answer) == ["UNAVAILABLE"]
        with Talk(server) as served:
            assert served.ask("GET", small, authorization).content == b"small"  # type: ignore[attr-defined]
            assert served.ask("HEAD", large, authorization).status == 200


def test_a_request_behind_a_body_is_answered(server: SmallServer) -> None:
    authorization = bearer(server)
    upload = open_upload(server, authorization)
    with Talk(server) as talk:
        health = talk.head("GET", "/health")
        first = talk.head("PATCH", upload, authorization, CHUNKED) + chunk(b"hello") + b"0\r\n\r\n"
        second = talk.head("PATCH", upload, authorization, "Content-Length: 6") + b" world"

        talk.sock.sendall(first + health + second + health)

        answers = [talk.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [202, 200, 202, 200]
    assert answers[2].headers["Range"] == "0-10"


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (CHUNKED, chunk(b"GET /v2/ HTTP/1.1\r\n\r\n") + b"0\r\n\r\n"),
        ("Content-Length: 21", b"GET /v2/ HTTP/1.1\r\n\r\n"),
    ],
    ids=["chunked", "with a length"],
)
def test_an_unread_body_is_no_request(server: SmallServer, line: str, body: bytes) -> None:
    upload = open_upload(server, bearer(server))
    with Talk(server) as talk:
        talk.send("PATCH", upload, line, body=body + talk.head("GET", "/health"))

        assert [talk.answer().status for _ in range(2)] == [401, 200]


def test_a_client_receives_the_response_to_a_large_refused_body(server: SmallServer) -> None:
    upload = open_upload(server, bearer(server))
    with Talk(server) as talk:
        talk.send("PATCH", upload, CHUNKED, body=chunk(bytes(512 * 1024)) + b"0\r\n\r\n" + talk.head("GET", "/health"))

        assert talk.answer().status == 401
        assert talk.is_ended()


def test_a_broken_chunk_ends_its_connection(server: SmallServer) -> None:
    authorization = bearer(server)
    upload = open_upload(server, authorization)
    with Talk(server) as talk:
        body = chunk(b"hello") + b"nonsense\r\n" + talk.head("GET", "/health")
        talk.send("PATCH", upload, authorization, CHUNKED, body=body)

        assert talk.answer().status == 400
        assert talk.is_ended()


def test_a_worker_without_room_for_a_connection_goes_on(server: SmallServer) -> None:
    (worker,) = server.workers()
    soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    with talks(server, 1) as quiet:
        assert quiet[0].ask("GET", "/health").status == 200
        # So few that what it has open leaves room for nothing.
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (8, hard))
        with talks(server, 3) as waiting:
            for talk in waiting:
                talk.send("GET", "/v2/")
            _until_complained(server)
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
            assert [talk.answer().status for talk in waiting] == [401] * 3

    assert server.workers() == [worker]


def test_workers_may_open_as_many_files_as_the_system_lets_them(
    server: SmallServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    other = SmallServer(tmp_path_factory.mktemp("files"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1, hard))
    try:
        other.start()
        (worker,) = other.workers()
        assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        other.stop()


def test_slow_uploads_hold_no_connection_to_the_database(tmp_path: Path) -> None:
    """More of them than a process has connections to PostgreSQL, each in the middle of a blob that is short."""
    server = RoomyServer(tmp_path)
    try:
        server.start()
        authorization = bearer(server)
        ends = [
            f"{open_upload(server, authorization)}?digest={digest_of(b'hello')}" for _ in range(server.max_slow_clients)
        ]
        with talks(server, server.max_slow_clients) as slow:
            for talk, end in zip(slow, ends, strict=True):
                talk.send("PUT", end, authorization, "Content-Length: 5", body=b"hell")

            with Talk(server) as other:
                assert other.ask("GET", "/v2/alice/app/tags/list", authorization).status in (200, 404)
            for talk in slow:
                talk.sock.sendall(b"o")
            assert [talk.answer().status for talk in slow] == [201] * server.max_slow_clients
    finally:
        server.stop()


def test_a_slow_upload_is_stored(server: SmallServer) -> None:
    authorization, payload = bearer(server), b"slow but sure"
    with Talk(server) as talk:
        talk.send("PATCH", open_upload(server, authorization), authorization, CHUNKED)
        for byte in payload:
            talk.sock.sendall(chunk(bytes([byte])))
        talk.sock.sendall(b"0\r\n\r\n")
        upload = talk.answer().headers["Location"]
        status = talk.ask("PUT", f"{upload}?digest={digest_of(payload)}", authorization, "Content-Length: 0").status

    assert status == 201


def _errors(answer: object) -> list[str]:
    return [error["code"] for error in json.loads(answer.content)["errors"]]  # type: ignore[attr-defined]


def _begun(server: SmallServer) -> int:
    """Return how many uploads have written four bytes, those of the tests before that were refused too."""
    return [size_of(file) for file in server.data.glob("objects/*/*")].count(4)


def _crowd(server: SmallServer, crowd: list[Talk], kind: str) -> Talk:
    """Have one stranger more than there are places begin to speak, and return the one that is sent away."""
    assert len(crowd) == server.max_slow_clients + 1
    for talk in crowd:
        if kind == "head":
            talk.sock.sendall(talk.head("GET", "/health")[:-2])
        else:
            talk.send("POST", f"/v2/{kind}", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 2")
    return _refused(crowd)


def _refused(crowd: list[Talk]) -> Talk:
    """Wait until one of the crowd is answered, and return it."""
    answered, _, _ = select.select([talk.sock for talk in crowd], [], [], PATIENCE_SECONDS)
    (refused,) = [talk for talk in crowd if talk.sock in answered]
    return refused


def _until_complained(server: SmallServer) -> None:
    """Wait until the log says that there is no room."""
    until(lambda: "connections have to wait" in server.log_file.read_text())
