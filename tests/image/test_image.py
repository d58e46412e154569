"""What the image holds, and that it runs with a root that cannot be written and without a volume."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry_project.version import RELEASE
from tests import postgresql
from tests.clients.background import skip_without_namespaces
from tests.clients.layouts import image, random_layer
from tests.clients.program import skopeo_in
from tests.clients.server import Server
from tests.databases import drop_database
from tests.image.engine import IMAGE, REVISION, Engine, engine_on_the_machine
from tests.s3.servers import SeaweedFS, running

pytestmark = pytest.mark.client("docker", "dockerd", "containerd", "mmdebstrap", "ip", "iptables", "unshare")

# As in docker-compose.yml.
CONFINED = ("--read-only", "--tmpfs=/tmp:size=64m", "--cap-drop=ALL", "--security-opt=no-new-privileges:true")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run an engine that has the image."""
    skip_without_namespaces("docker")
    with engine_on_the_machine(tmp_path_factory.mktemp("engine")) as started:
        yield started


def in_image(engine: Engine, *command: str) -> str:
    """Return what a command prints that runs in a new container."""
    return engine.docker.run("run", "--rm", "--network=none", *CONFINED, IMAGE, *command)


def test_labels_name_the_version_and_the_commit(engine: Engine) -> None:
    labels: dict[str, str] = json.loads(engine.docker.run("inspect", "--format={{json .Config.Labels}}", IMAGE))

    begin = "org.opencontainers.image."
    assert labels[f"{begin}version"] == RELEASE
    assert labels[f"{begin}revision"] == REVISION
    assert labels[f"{begin}licenses"] == "MIT"
    assert in_image(engine, "python", "manage.py", "version") == f"{RELEASE}+{REVISION[:12]}"


def test_it_holds_no_package_manager_of_python_and_nothing_of_this_machine(engine: Engine) -> None:
    packages = in_image(engine, "python", "-c", "import importlib.util as i; print(i.find_spec('pip'))")
    files = in_image(engine, "ls", "-A", "/srv/registry").split()

    assert packages == "None"
    assert not {"config.yaml", "data", "tests", ".git", ".venv"} & set(files)


def test_it_holds_the_packages_for_traces(engine: Engine) -> None:
    command = "from monitoring.traces import Traces; print(Traces.__name__)"

    assert in_image(engine, "python", "-c", command) == "Traces"


def test_a_stop_in_the_middle_of_a_start_does_not_wait(engine: Engine) -> None:
    engine.docker.run("run", "--detach", "--rm", "--name=starting", "--network=none", *CONFINED, IMAGE)
    before = time.monotonic()

    engine.docker.run("stop", "--time=60", "starting")

    assert time.monotonic() - before < 45


class Replica(Server):
    """The image on PostgreSQL and S3, with no volume but its configuration."""

    is_migrated = False

    def __init__(self, folder: Path, engine: Engine, database_url: str, storage: dict[str, Any]) -> None:
        super().__init__(folder)
        drop_database(self.database_url)
        self.database_url, self.storage, self.docker = database_url, storage, engine.docker

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        server = {"addr": self.host, "workers": 1, "secret_key": "s" * 43}
        return super().configuration() | {"server": server, "storage": self.storage, "auth": {"keys": "database"}}

    def start(self) -> None:
        """Start the container."""
        self.folder.chmod(0o755)
        super().start()

    def command(self) -> list[str]:
        """Return what runs the container in the foreground."""
        volume = f"--volume={self.folder}/config.yaml:/etc/registry/config.yaml:ro"
        return [*self.docker.words, "run", "--rm", "--name=replica", "--network=host", *CONFINED, volume, IMAGE]

    def environment(self) -> dict[str, str]:
        """Return the environment of docker."""
        return os.environ | self.docker.environment


@pytest.fixture
def replica(engine: Engine, tmp_path: Path) -> Iterator[Replica]:
    """Run the image on a PostgreSQL and an S3 server of this machine."""
    for name in ("s3", "replica"):
        (tmp_path / name).mkdir()
    with postgresql.cluster() as database, running(SeaweedFS(tmp_path / "s3")) as s3:
        subprocess.run(["createdb", f"--maintenance-db={database.url}/postgres", "replica"], check=True)
        storage = {"s3": s3.options(s3.make_bucket("registry"))}
        server = Replica(tmp_path / "replica", engine, f"{database.url}/replica", storage)
        try:
            server.start()
            yield server
        finally:
            engine.docker.call("stop", "replica")
            server.end()


@pytest.mark.client("skopeo", "createdb")
def test_a_replica_needs_no_volume(replica: Replica, tmp_path: Path) -> None:
    alice, layout = skopeo_in(tmp_path, replica.host), image(tmp_path / "pushed", random_layer())
    alice.log_in("alice")

    alice.run("copy", layout.reference("v1"), alice.docker("alice/app:v1"))
    alice.run("copy", alice.docker("alice/app:v1"), f"dir:{tmp_path / 'pulled'}")
    saved = replica.docker.run("exec", "replica", "python", "manage.py", "backup", "/tmp/backup")

    mounts = json.loads(replica.docker.run("inspect", "--format={{json .Mounts}}", "replica"))
    assert [mount["Destination"] for mount in mounts] == ["/etc/registry/config.yaml"]
    assert saved.startswith("database: postgresql")
