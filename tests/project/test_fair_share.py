"""Fair shares on a real server: one greedy client does not starve the others."""

import json
import select
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

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

GREEDY, HONEST, PROXY = "127.0.0.2", "127.0.0.3", "127.0.0.4"
# Far more than the kernel keeps for a client that does not take it.
LARGE = bytes(8 * 1024 * 1024)
SLOW_BUFFER_BYTES = 16 * 1024
PUBLIC = "public/app"
BLOB = f"/v2/{PUBLIC}/blobs/{digest_of(LARGE)}"
# Three quarters of the connections that a process with few places takes: 512 and one for each thread.
ANYBODYS = 385


class FairServer(SmallServer):
    """A server of one process behind a proxy, and without one."""

    max_slow_clients = 16

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        said = super().configuration()
        server: dict[str, object] = said["server"]  # type: ignore[assignment]
        return said | {"server": server | {"trusted_proxies": [PROXY]}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FairServer]:
    """Run a server with a large blob that anybody may pull."""
    fair = FairServer(tmp_path_factory.mktemp("fair"))
    try:
        fair.start()
        token = fair.token("admin", f"repository:{PUBLIC}:pull,push")
        path = f"/v2/{PUBLIC}/blobs/uploads/?digest={digest_of(LARGE)}"
        assert fair.request("POST", path, authorization=f"Bearer {token}", body=LARGE).status == 201
        yield fair
    finally:
        fair.stop()


@pytest.fixture(autouse=True)
def _alone(server: FairServer) -> None:
    """Begin once the server has left the clients of the test before: until then they have places."""
    until(lambda: not has_connections(server))


@pytest.fixture(scope="module")
def anybody(server: FairServer) -> str:
    """Return the header line with which anybody may pull the blob."""
    answer = server.request("GET", f"/v2/token?scope=repository:{PUBLIC}:pull")
    return f"Authorization: Bearer {json.loads(answer.body)['token']}"


def pull_slowly(crowd: Sequence[Talk], *lines: str) -> None:
    """Have each of the crowd ask for the blob and take no more than its beginning."""
    for talk in crowd:
        talk.send("GET", BLOB, *lines)
        assert talk.sock.recv(12) == b"HTTP/1.1 200"


def pull(server: FairServer, source: str, *lines: str) -> int:
    """Pull the blob as fast as it comes, and return the status; fail when bytes are missing."""
    with Talk(server, source=source) as talk:
        answer = talk.ask("GET", BLOB, *lines)
    assert answer.status != 200 or answer.content == LARGE  # type: ignore[attr-defined]
    return answer.status


def take(talk: Talk, size: int) -> None:
    """Receive so many bytes; fail when they do not come."""
    while size:
        received = len(talk.sock.recv(min(size, 64 * 1024)))
        assert received
        size -= received


def is_reset(talk: Talk) -> bool:
    """Tell whether the server has broken the connection off."""
    asked = select.poll()
    asked.register(talk.sock, 0)
    return bool(asked.poll(0))


def first_ended(crowd: Sequence[Talk]) -> Talk:
    """Wait until something comes to one of the crowd that waits for an answer, and return it."""
    answered, _, _ = select.select([talk.sock for talk in crowd], [], [], PATIENCE_SECONDS)
    (first,) = [talk for talk in crowd if talk.sock in answered]
    return first


def test_slow_readers_keep_no_client_from_pulling(server: FairServer, anybody: str) -> None:
    with talks(server, server.max_slow_clients, SLOW_BUFFER_BYTES, GREEDY) as crowd:
        pull_slowly(crowd, anybody)
        assert pull(server, GREEDY, anybody) == 503

        assert pull(server, HONEST, anybody) == 200
        # Its thread closes it, at some moment after another client has its place.
        until(lambda: any(map(is_reset, crowd)))
        assert sum(map(is_reset, crowd)) == 1


def test_of_one_address_the_fast_pull_is_not_evicted(server: FairServer, anybody: str) -> None:
    with talks(server, 1, 64 * 1024, GREEDY) as (fast,), talks(server, 15, SLOW_BUFFER_BYTES, GREEDY) as crowd:
        pull_slowly([fast], anybody)
        # More than what the kernel keeps, so that it is sent because it is taken; the oldest is still not done.
        take(fast, 4 * 1024 * 1024)
        pull_slowly(crowd, anybody)

        assert pull(server, HONEST, anybody) == 200
        until(lambda: any(map(is_reset, crowd)))
        assert sum(map(is_reset, crowd)) == 1
        # Its head is a part of what was taken.
        take(fast, len(LARGE) - 4 * 1024 * 1024)


def test_slow_readers_keep_no_client_from_pushing_slowly(server: FairServer, anybody: str) -> None:
    authorization = bearer(server)
    upload = open_upload(server, authorization)
    with (
        talks(server, server.max_slow_clients, SLOW_BUFFER_BYTES, GREEDY) as crowd,
        Talk(server, source=GREEDY) as honest,
    ):
        pull_slowly(crowd, anybody)

        # From the same address, and with an account: it is another client.
        honest.send("PATCH", upload, authorization, "Content-Length: 5", body=b"hell")
        until(lambda: any(map(is_reset, crowd)))
        honest.sock.sendall(b"o")

        assert honest.answer().headers["Range"] == "0-4"


def test_an_evicted_push_gets_a_retry_after(server: FairServer, anybody: str) -> None:
    authorization = bearer(server)
    uploads = [open_upload(server, authorization) for _ in range(server.max_slow_clients + 1)]
    with talks(server, len(uploads)) as crowd:
        for talk, upload in zip(crowd, uploads, strict=True):
            talk.send("PATCH", upload, authorization, "Content-Length: 5", body=b"hell")
        # No more than alice's share, and one more than there are places: all others are waited for.
        refused = first_ended(crowd)
        assert refused.answer().status == 503
        uploads.pop(crowd.index(refused))
        crowd.remove(refused)

        assert pull(server, HONEST, anybody) == 200

        ended = first_ended(crowd)
        answer = ended.answer()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert [error["code"] for error in json.loads(answer.content)["errors"]] == ["UNAVAILABLE"]  # type: ignore[attr-defined]
        assert answer.headers["Connection"] == "close"
        # The rest of the body is no request.
        with suppress(BrokenPipeError, ConnectionResetError):
            ended.sock.sendall(ended.head("GET", "/health"))
        assert ended.is_ended()
    with Talk(server) as again:
        upload = uploads[crowd.index(ended)]
        assert again.ask("PATCH", upload, authorization, "Content-Length: 5", body=b"hello").status == 202


def test_incomplete_heads_keep_no_client_from_sending_a_head_in_two_packets(server: FairServer) -> None:
    with talks(server, server.max_slow_clients + 1, source=GREEDY) as crowd, Talk(server, source=HONEST) as honest:
        for talk in crowd:
            talk.sock.sendall(talk.head("GET", "/health")[:-2])
        refused = first_ended(crowd)
        assert refused.answer().status == 503
        crowd.remove(refused)

        honest.sock.sendall(honest.head("GET", "/v2/")[:-2])
        evicted = first_ended(crowd)
        assert evicted.answer().status == 503
        honest.sock.sendall(b"\r\n")

        assert honest.answer().status == 401


def test_a_client_beyond_its_share_of_connections_loses_its_oldest(server: FairServer) -> None:
    with talks(server, ANYBODYS, source=GREEDY) as crowd, talks(server, 3, source=GREEDY) as more:
        assert all(talk.ask("GET", "/health").status == 200 for talk in more)

        assert all(talk.is_ended() for talk in crowd[:3])
        assert crowd[3].ask("GET", "/health").status == 200


def test_connections_of_a_trusted_proxy_are_not_counted(server: FairServer) -> None:
    with talks(server, ANYBODYS, source=PROXY) as crowd, talks(server, 3, source=PROXY) as more:
        assert all(talk.ask("GET", "/health").status == 200 for talk in more)

        assert all(talk.ask("GET", "/health").status == 200 for talk in crowd[:3])


@pytest.mark.parametrize(
    ("one", "another", "status"),
    [
        ("192.0.2.1", "192.0.2.1", 503),
        ("192.0.2.1", "192.0.2.2", 200),
        ("2001:db8::1", "2001:db8::2", 503),
        ("2001:db8::1", "2001:db8:0:1::1", 200),
    ],
)
def test_behind_a_trusted_proxy_a_client_is_the_address_that_it_names(
    server: FairServer, anybody: str, one: str, another: str, status: int
) -> None:
    with talks(server, server.max_slow_clients, SLOW_BUFFER_BYTES, PROXY) as crowd:
        pull_slowly(crowd, anybody, f"X-Forwarded-For: {one}")

        assert pull(server, PROXY, anybody, f"X-Forwarded-For: {another}") == status
