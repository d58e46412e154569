"""Two replicas on one PostgreSQL and one storage, whose requests take turns: to clients they are one registry."""

import json
import os
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from tests.clients.browser import Browser
from tests.clients.cluster import LOSER, Replica, cluster
from tests.clients.persistent import Outages, PersistentClient, followed
from tests.clients.server import basic
from tests.images import digest_of, manifest
from tests.project.talk import until
from tests.s3.servers import SeaweedFS, running

pytestmark = [
    pytest.mark.client("traefik", "openssl"),
    pytest.mark.skipif(
        not os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"), reason="SQLite belongs to one machine"
    ),
]

CLIENTS = 50
REPOSITORIES = 10
SHARED_LAYERS = [random.Random(number).randbytes(60_000) for number in range(4)]
CHUNK_BYTES = 10_000
# Between two pulls of a client, on average half of it.
PAUSE_SECONDS = 4
RACES = 3


class Crowd:
    """Clients that push an image, pull those of each other until they are told to stop, and push another."""

    def __init__(self, replica: Replica) -> None:
        self.replica, self.outages = replica, Outages()
        self.images: list[tuple[str, str, bytes]] = []
        self.pulls = 0
        self._is_over, self._lock = Event(), Lock()

    def run(self, pool: ThreadPoolExecutor) -> list[Future[None]]:
        """Start all clients."""
        return [pool.submit(self._work, number) for number in range(CLIENTS)]

    def stop(self) -> None:
        """Let each client push its last image."""
        self._is_over.set()

    def wait_for(self, more: int, workers: list[Future[None]]) -> None:
        """Return once so many more images were pushed or pulled; raise what a client met."""
        wanted = len(self.images) + self.pulls + more
        deadline = time.monotonic() + 120
        while len(self.images) + self.pulls < wanted:
            for failed in [worker for worker in workers if worker.done()]:
                failed.result()
            assert time.monotonic() < deadline, f"{len(self.images)} images, {self.pulls} pulls"
            time.sleep(0.02)

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        client = PersistentClient(self.replica.public_host, self.replica.tls, "alice", self.outages)
        with closing(client.connection):
            self._push(client, f"team/{number % REPOSITORIES}", f"v{number}", chance)
            while not self._is_over.wait(chance.random() * PAUSE_SECONDS):
                self._pull(client, chance)
            self._push(client, f"team/{(number + 1) % REPOSITORIES}", f"v{number}-last", chance)
            self._pull(client, chance)

    def _pull(self, client: PersistentClient, chance: random.Random) -> None:
        with self._lock:
            repository, tag, payload = chance.choice(self.images)
        client.log_in(repository)
        assert client.pull(repository, tag) == payload
        with self._lock:
            self.pulls += 1

    def _push(self, client: PersistentClient, repository: str, tag: str, chance: random.Random) -> None:
        config = json.dumps({"architecture": "amd64", "os": "linux", "of": tag}).encode()
        client.log_in(repository)
        layers = [chance.choice(SHARED_LAYERS), chance.randbytes(chance.randint(20_001, 60_000))]
        for content in (config, *layers):
            client.push(repository, content, CHUNK_BYTES)
        payload = manifest(config, *layers)
        client.put_manifest(repository, tag, payload)
        with self._lock:
            self.images.append((repository, tag, payload))


@pytest.fixture(params=["s3", "folder"])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Replica]]:
    """Run two replicas on a bucket, or on a folder that they share."""
    if request.param == "folder":
        with cluster(tmp_path, {"filesystem": {"rootdirectory": str(tmp_path / "shared")}}) as both:
            yield both
        return
    (tmp_path / "seaweedfs").mkdir()
    with running(SeaweedFS(tmp_path / "seaweedfs")) as s3:
        storage: dict[str, Any] = {"s3": s3.options(s3.make_bucket("registry"))}
        with cluster(tmp_path, storage) as both:
            yield both


def test_fifty_clients_lose_nothing_to_a_killed_replica_and_a_rotated_key(replicas: list[Replica]) -> None:
    first, second = replicas
    crowd = Crowd(first)
    with ThreadPoolExecutor(CLIENTS) as pool:
        workers = crowd.run(pool)
        try:
            crowd.wait_for(20, workers)
            with crowd.outages.lasting():
                second.kill()
                crowd.wait_for(10, workers)
                second.start()
            old = rotate(replicas)
            disable_loser(replicas)
            crowd.wait_for(20, workers)
        finally:
            crowd.stop()
        for worker in workers:
            worker.result()

    assert [is_accepted(replica, old) for replica in replicas] == [True, True]
    assert crowd.outages.failures
    for replica in replicas:
        compare(replica, crowd.images)
    assert shared_uploads(replicas) > CLIENTS // 2
    assert first.does("fsck", "--deep") == "no problems\n"
    assert not [replica for replica in replicas if replica.data.exists()]


@pytest.mark.parametrize("replicas", ["folder"], indirect=True)
def test_refused_requests_of_a_rolling_restart_go_to_the_other_replica(replicas: list[Replica]) -> None:
    crowd = Crowd(replicas[0])
    with ThreadPoolExecutor(CLIENTS) as pool:
        workers = crowd.run(pool)
        try:
            crowd.wait_for(20, workers)
            for replica in replicas:
                with crowd.outages.lasting():
                    replica.end()
                    crowd.wait_for(5, workers)
                    replica.start()
                crowd.wait_for(CLIENTS, workers)
        finally:
            crowd.stop()
        for worker in workers:
            worker.result()

    # A request that meets the end of an idle connection may still fail; hundreds would without the label.
    assert len(crowd.outages.failures) <= RACES, crowd.outages.failures
    compare(replicas[0], crowd.images)


def rotate(replicas: list[Replica]) -> str:
    """Rotate the keys on one replica, return once both sign with the new one; the result is an old token."""
    old = replicas[0].token("alice", "repository:team/0:pull")
    replicas[0].does("rotatekey")
    until(lambda: all(replica.token("alice").split(".")[0] != old.split(".")[0] for replica in replicas))
    return old


def disable_loser(replicas: list[Replica]) -> None:
    """Disable an account in the admin, whose pages come from both: they refuse its token and its password at once."""
    token = replicas[0].token(LOSER, "repository:team/0:pull")
    assert [is_accepted(replica, token) for replica in replicas] == [True, True]

    browser = Browser(f"https://{replicas[0].public_host}", replicas[0].tls)
    browser.log_in("admin")
    accounts = browser.get(f"/admin/accounts/account/?q={LOSER}").body.decode()
    (page,) = set(re.findall(r"/admin/accounts/account/\d+/change/", accounts))
    browser.submit(page, {"is_active": "false"})

    assert [is_accepted(replica, token) for replica in replicas] == [False, False]
    logins = [replica.request("GET", "/v2/token", authorization=basic(LOSER)).status for replica in replicas]
    assert logins == [401, 401]


def is_accepted(replica: Replica, token: str) -> bool:
    """Return whether a token for pulling from team/0 counts there."""
    status = replica.request("GET", "/v2/team/0/tags/list", authorization=f"Bearer {token}").status
    assert status in (200, 401)
    return status == 200


def compare(replica: Replica, images: list[tuple[str, str, bytes]]) -> None:
    """Compare every byte of the images with what a replica answers."""
    scopes = (f"repository:team/{number}:pull" for number in range(REPOSITORIES))
    authorization = f"Bearer {replica.token('alice', *scopes)}"
    blobs = set()
    for repository, tag, payload in images:
        answer = replica.request("GET", f"/v2/{repository}/manifests/{tag}", authorization=authorization)
        assert answer.body == payload
        named = json.loads(payload)
        blobs |= {(repository, blob["digest"]) for blob in (named["config"], *named["layers"])}
    for repository, digest in blobs:
        answer = replica.request("GET", f"/v2/{repository}/blobs/{digest}", authorization=authorization)
        assert digest_of(followed(answer)) == digest


def shared_uploads(replicas: list[Replica]) -> int:
    """Return how many uploads have chunks that one replica received, and chunks that the other did."""
    first, second = (set(replica.paths("PATCH")) for replica in replicas)
    return len(first & second)
