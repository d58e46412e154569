"""Two replicas are restarted in turn, behind each documented proxy, while clients push and pull all the time."""

import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Event

import pytest

from tests.clients.balancers import haproxy_balancer, nginx_balancer
from tests.clients.cluster import Replica, behind_traefik, two_replicas
from tests.clients.persistent import Outages, PersistentClient
from tests.images import manifest
from tests.ports import free_port
from tests.project.talk import until

pytestmark = [
    pytest.mark.client("nginx", "haproxy", "traefik", "openssl"),
    pytest.mark.skipif(
        not os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"), reason="SQLite belongs to one machine"
    ),
]

PROXIES = ("nginx", "haproxy", "traefik")
# Of each proxy.
CLIENTS = 2
# Those that ask /readyz look every second or two; nginx learns of a stop from a refused connection.
DRAIN = "3s"
PAUSE_SECONDS = 0.1


class Flow:
    """Clients of one proxy that push an image and pull it, again and again, until they are told to stop."""

    def __init__(self, host: str, replica: Replica, proxy: str) -> None:
        self.host, self.replica, self.proxy = host, replica, proxy
        self.outages, self.rounds = Outages(), 0

    def run(self, pool: ThreadPoolExecutor, is_over: Event) -> list[Future[None]]:
        """Start the clients."""
        return [pool.submit(self._work, number, is_over) for number in range(CLIENTS)]

    def _work(self, number: int, is_over: Event) -> None:
        repository = f"team/{self.proxy}{number}"
        chance = random.Random(repository)
        client = PersistentClient(self.host, self.replica.tls, "alice", self.outages)
        with closing(client.connection):
            client.log_in(repository)
            while not is_over.wait(PAUSE_SECONDS):
                layer = chance.randbytes(30_000)
                config = json.dumps({"architecture": "amd64", "os": "linux", "of": layer.hex()[:32]}).encode()
                for content in (config, layer):
                    client.push(repository, content, chunk_bytes=10_000)
                payload = manifest(config, layer)
                client.put_manifest(repository, "v1", payload)
                assert client.pull(repository, "v1") == payload
                self.rounds += 1


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Flow]]:
    """Restart each replica once beside the clients of all proxies; fail with what a client met."""
    folder = tmp_path_factory.mktemp("rolling")
    storage = {"filesystem": {"rootdirectory": str(folder / "shared")}}
    with ExitStack() as stack:
        replicas = stack.enter_context(two_replicas(folder, storage, drain=DRAIN))
        for replica in replicas:
            # Without another drain.
            stack.callback(replica.kill)
        hosts = {"traefik": replicas[0].public_host}
        stack.enter_context(behind_traefik(replicas, folder))
        for proxy, run in (("nginx", nginx_balancer), ("haproxy", haproxy_balancer)):
            (folder / proxy).mkdir()
            port = free_port()
            hosts[proxy] = f"localhost:{port}"
            stack.enter_context(run(port, replicas, folder / proxy))
        flows = {proxy: Flow(hosts[proxy], replicas[0], proxy) for proxy in PROXIES}
        pool, is_over = stack.enter_context(ThreadPoolExecutor(CLIENTS * len(PROXIES))), Event()
        stack.callback(is_over.set)
        workers = [worker for flow in flows.values() for worker in flow.run(pool, is_over)]
        for outages in [flow.outages for flow in flows.values()]:
            stack.enter_context(outages.lasting())
        for replica in replicas:
            replica.end()
            before = len(replica.paths("HEAD"))
            replica.start()
            # As someone does who waits for the health checks of the proxy.
            until(lambda: is_reached(replica.paths("HEAD")[before:]))  # noqa: B023 - called at once
        is_over.set()
        for worker in workers:
            worker.result()
        yield flows


def is_reached(paths: list[str]) -> bool:
    """Tell whether every proxy has sent one of these requests."""
    return all(any(path.startswith(f"/v2/team/{proxy}") for path in paths) for proxy in PROXIES)


@pytest.mark.parametrize("proxy", PROXIES)
def test_no_request_fails_while_replicas_restart_in_turn(flows: dict[str, Flow], proxy: str) -> None:
    assert flows[proxy].rounds > 2 * CLIENTS
    assert flows[proxy].outages.failures == []
