"""Two replicas on one PostgreSQL and one storage, behind Traefik with the labels of docker-compose.cluster.yml."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import yaml

from registry_project import BASE_DIR
from tests.clients.nginx import Proxied, make_certificate
from tests.clients.server import ACCOUNTS, hash_of, kill_group
from tests.clients.traefik import traefik
from tests.databases import drop_database, migrated_database

SECRET = "a secret key that all replicas have in common"
# Loses its account during the test.
LOSER = "erin"
COMPOSE_FILE = BASE_DIR / "docker-compose.cluster.yml"


class Replica(Proxied):
    """A server without files of its own, on a database and a storage that others use too."""

    is_migrated = False
    drain = "0"

    def __init__(
        self, folder: Path, database_url: str, storage: dict[str, Any], first: "Replica | None" = None
    ) -> None:
        folder.mkdir()
        super().__init__(folder)
        drop_database(self.database_url)
        self.database_url, self.storage = database_url, storage
        if first is not None:
            self.proxy_port, self.public_host, self.certificate = first.proxy_port, first.public_host, first.certificate

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        proxy = {"public_url": f"https://{self.public_host}", "trusted_proxies": ["127.0.0.1"]}
        server = {"addr": self.host, "workers": 1, "secret_key": SECRET, "drain": self.drain, **proxy}
        users = {name: {"password": hash_of(name), "superuser": name == "admin"} for name in (*ACCOUNTS, LOSER)}
        rules = [{"account": name, "name": "team/*", "actions": ["pull", "push"]} for name in ("alice", LOSER)]
        return super().configuration() | {
            "server": server,
            "users": users,
            "acl": rules,
            "storage": self.storage,
            "auth": {"keys": "database"},
        }

    def kill(self) -> None:
        """End all processes at once, as a failing machine does."""
        assert self.process is not None
        kill_group(self.process.pid)
        self.process.wait()

    def paths(self, method: str) -> list[str]:
        """Return the path of each request of `method` that the log has."""
        lines = [json.loads(line) for line in self.log_file.read_text().splitlines() if '"logger": "access"' in line]
        return [line["path"] for line in lines if line["method"] == method]


@contextmanager
def cluster(folder: Path, storage: dict[str, Any]) -> Iterator[list[Replica]]:
    """Run two replicas behind Traefik."""
    with two_replicas(folder, storage) as replicas, behind_traefik(replicas, folder):
        yield replicas


@contextmanager
def two_replicas(folder: Path, storage: dict[str, Any], drain: str = "0") -> Iterator[list[Replica]]:
    """Run two replicas that expect a proxy in front, and make the certificate of the first for it."""
    database_url = migrated_database(folder)
    try:
        first = Replica(folder / "first", database_url, storage, None)
        second = Replica(folder / "second", database_url, storage, first)
        make_certificate(first.folder)
        replicas = [first, second]
        try:
            for replica in replicas:
                replica.drain = drain
                replica.start()
            yield replicas
        finally:
            for replica in replicas:
                replica.end()
    finally:
        drop_database(database_url)


def behind_traefik(replicas: list[Replica], folder: Path) -> AbstractContextManager[None]:
    """Run Traefik in front of the replicas."""
    (folder / "traefik").mkdir()
    return traefik(replicas[0], folder / "traefik", routes(replicas))


def routes(replicas: list[Replica]) -> dict[str, Any]:
    """Return what the labels say, with the addresses and the certificate of this test."""
    services = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
    labelled = nested(services["registry"]["labels"])["http"]
    router = labelled["routers"]["registry"]
    assert router.pop("entryPoints") == "websecure"
    router |= {"rule": "PathPrefix(`/`)", "entryPoints": ["websecure"], "tls": {}, "service": "registry"}
    router["middlewares"] = router["middlewares"].split(",")
    labelled["middlewares"]["again"]["retry"]["attempts"] = int(labelled["middlewares"]["again"]["retry"]["attempts"])
    balancer = labelled["services"]["registry"]["loadBalancer"]
    assert balancer.pop("server") == {"port": "5000"}
    balancer["servers"] = [{"url": f"http://{replica.host}"} for replica in replicas]
    first = replicas[0]
    certificate = {"certFile": str(first.certificate), "keyFile": str(first.folder / "tls.key")}
    stores = {"default": {"defaultCertificate": certificate}}
    return {"http": labelled, "tls": {"certificates": [certificate], "stores": stores}}


def nested(labels: list[str]) -> dict[str, Any]:
    """Return labels as the tree that Traefik reads them as."""
    tree: dict[str, Any] = {}
    for label in labels:
        path, _, value = label.removeprefix("traefik.").partition("=")
        *parents, last = path.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return tree
