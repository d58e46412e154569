"""A disk that one account, or another program, has filled: it is made free again by whoever may, without a person."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.clients.server import Answer, basic
from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.faults.registry import Registry
from tests.faults.unwritable import OnVolume, fill, volume
from tests.images import digest_of

MEBIBYTE = 1 << 20
MIN_FREE = 16 * MEBIBYTE
PIECE = bytes(10 * MEBIBYTE)
IMAGE = Artifact(b"a layer", (b"of an image ", b"from before"))


class Keeping(OnVolume):
    """A server that keeps MIN_FREE of its small disk free."""

    min_free = f"{MIN_FREE // MEBIBYTE}MiB"

    def configuration(self) -> dict[str, object]:
        storage = {"filesystem": {"rootdirectory": str(self.data)}, "min_free": self.min_free}
        return super().configuration() | {"storage": storage}

    def free(self) -> int:
        """Return the bytes that are free on the disk."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    @property
    def ballast(self) -> Path:
        """Return the file that SQLite's room is kept in."""
        return self.folder / "registry.sqlite3.ballast"

    def send_chunked(self, path: str, token: str, content: bytes) -> Answer:
        """Send a PATCH whose length nobody knows before, as docker does."""
        pieces = (content[at : at + 65536] for at in range(0, len(content), 65536))
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            headers = {"Authorization": f"Bearer {token}", "Transfer-Encoding": "chunked"}
            connection.request("PATCH", path, pieces, headers, encode_chunked=True)
            response = connection.getresponse()
            return Answer(response.status, {}, response.read())


class Unkept(Keeping):
    """A server that is to keep nothing free."""

    min_free = "0"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeping]:
    """Serve an image from a disk that has room for some uploads."""
    if os.environ.get("REGISTRY_DATABASE_URL"):
        pytest.skip("the disk of another database is its own")
    home = tmp_path_factory.mktemp("filled")
    with volume(home) as folder:
        (folder / "registry").mkdir()
        registry = Keeping(folder / "registry", home / "server.log")
        try:
            registry.start()
            pusher = Pusher(registry, SHARED)
            pusher.upload_whole(IMAGE.shared)
            pusher.push(IMAGE)
            yield registry
        finally:
            registry.end()


@pytest.fixture
def alice(registry: Keeping) -> Pusher:
    """Be an account with a token."""
    return Pusher(registry, SHARED)


def status_of_login(registry: Registry) -> int:
    """Log in as `docker login` does, which stores a token of the client's own."""
    query = "service=Docker+Registry&offline_token=true&client_id=docker&account=bob"
    answer = registry.request("GET", f"/v2/token?{query}", authorization=basic("bob"))
    assert "refresh_token" in json.loads(answer.body), answer.body
    return answer.status


def test_one_account_fills_the_disk_and_space_comes_back(registry: Keeping, alice: Pusher) -> None:
    at_first = registry.free()
    sessions = [alice.start() for _ in range(8)]

    answers = [registry.send_chunked(sessions[0], alice.token, PIECE)]
    answers += [alice.send("PATCH", session, PIECE) for session in sessions[1:4]]
    answers += [alice.send("PUT", f"{session}?digest={digest_of(PIECE)}", PIECE) for session in sessions[4:6]]
    streamed = [registry.send_chunked(session, alice.token, PIECE) for session in sessions[6:]]
    least = registry.free()
    login = status_of_login(registry)
    removed = alice.send("DELETE", f"manifests/{digest_of(IMAGE.payload)}").status
    cancelled = [alice.send("DELETE", session).status for session in sessions]
    collected = registry.manage("gc")

    refused = [answer for answer in [*answers, *streamed] if answer.status != 202]
    assert [answer.status for answer in answers[:2]] == [202, 202]
    assert [answer.status for answer in streamed] == [403, 403]
    for answer in refused:
        (error,) = json.loads(answer.body)["errors"]
        assert (answer.status, error["code"]) == (403, "DENIED")
        assert "kept free by half of storage.min_free" in error["message"]
        assert error["detail"]["reserve_bytes"] == MIN_FREE // 2
    assert least >= MIN_FREE // 2
    assert (login, removed) == (200, 202)
    # Those that were refused have ended, with all that they had written.
    assert sorted(set(cancelled)) == [204, 404]
    assert cancelled.count(404) == len(refused)
    assert (collected.returncode, collected.stderr) == (0, "")
    # Besides the rows of the audit and of the counts.
    assert at_first - registry.free() < 2 * MEBIBYTE


def test_clients_that_push_on_without_min_free_leave_the_ballast(tmp_path: Path) -> None:
    if os.environ.get("REGISTRY_DATABASE_URL"):
        pytest.skip("the disk of another database is its own")
    with volume(tmp_path) as folder:
        (folder / "registry").mkdir()
        registry = Unkept(folder / "registry", tmp_path / "server.log")
        try:
            registry.start()
            alice = Pusher(registry, SHARED)
            sessions = [alice.start() for _ in range(8)]
            answers = [registry.send_chunked(session, alice.token, PIECE) for session in sessions]
            least, has_ballast = registry.free(), registry.ballast.exists()
            collected = registry.manage("gc")
        finally:
            registry.end()

    assert {answer.status for answer in answers} == {202, 403}
    assert "kept free by the database's ballast" in json.loads(answers[-1].body)["errors"][0]["message"]
    assert (has_ballast, least > MIN_FREE // 4) == (True, True)
    assert (collected.returncode, collected.stderr) == (0, "")


def test_another_program_fills_the_disk_and_all_that_frees_it_goes_on(registry: Keeping, alice: Pusher) -> None:
    session = alice.start()
    alice.expect(202, "PATCH", session, PIECE)
    alice.upload_whole(PIECE[:-1])
    had_ballast = registry.ballast.exists()
    token = alice.token

    with fill(registry):
        assert (registry.free(), bool(token)) == (0, True)
        cancelled = alice.send("DELETE", session)
        after_cancel = registry.free()
        login = status_of_login(registry)
        deleted = alice.send("DELETE", f"blobs/{digest_of(PIECE[:-1])}")
        collected = registry.manage("gc")
        registry.pass_time()
        reaped = registry.manage("runjobs", "--once")
        assert registry.ballast.exists()
        after_all = registry.free()

    assert had_ballast
    assert (cancelled.status, login, deleted.status) == (204, 200, 202)
    assert (collected.returncode, reaped.returncode) == (0, 0), collected.stderr + reaped.stderr
    assert after_cancel >= len(PIECE)
    # What was freed but the ballast, which is made again.
    assert after_all >= MIN_FREE - MEBIBYTE
    assert registry.manage("fsck", "--deep").stdout == "no problems\n"
