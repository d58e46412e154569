"""docker-compose.yml as it stands, with the built image: health check, first push, a stop in the middle of one."""

import http.client
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.clients.background import skip_without_namespaces
from tests.clients.recipes import settings_in
from tests.clients.server import ROOT, basic, hash_of, password_of
from tests.clients.terminal import type_in
from tests.documents import block
from tests.image.engine import IMAGE, Engine, engine_on_its_own
from tests.images import digest_of
from tests.project.talk import until
from tests.registry_copy.source import SourceTree

pytestmark = pytest.mark.client(
    "docker", "dockerd", "docker-compose", "containerd", "mmdebstrap", "ip", "iptables", "unshare"
)

# More than the ten seconds after which docker kills what no compose file gives more time.
PUSH_SECONDS = 20
LAYER = b"slowly " * PUSH_SECONDS


@dataclass(frozen=True, slots=True)
class Deployment:
    """A started docker-compose.yml."""

    engine: Engine
    file: Path
    container: str

    def is_healthy(self) -> bool:
        """Return whether the image's health check succeeds; docker runs it for the first time after 30 seconds."""
        check = ("python", "-m", "registry_project.healthcheck")
        return self.engine.docker.call("exec", self.container, *check).returncode == 0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run an engine that has the image, and a network where the ports of compose files are free."""
    skip_without_namespaces("docker")
    with engine_on_its_own(tmp_path_factory.mktemp("engine")) as started:
        yield started


@pytest.fixture
def deployment(engine: Engine, tmp_path: Path) -> Iterator[Deployment]:
    """Start docker-compose.yml as docs/deployment.md says; the tests run in the network where it publishes its port."""
    file = engine.copy_of("docker-compose.yml", tmp_path)
    users = {"admin": {"password": hash_of("admin"), "superuser": True}}
    rules = [{"account": "admin", "name": "*", "actions": ["*"]}]
    begun = (ROOT / "config.container.yaml").read_text()
    (tmp_path / "config.yaml").write_text(begun + yaml.safe_dump({"users": users, "acl": rules}))
    try:
        started = engine.compose(file, "up", "--detach", "--no-build")
        assert started.returncode == 0, started.stderr
        container = engine.compose(file, "ps", "--quiet", "registry").stdout.strip()
        deployed = Deployment(engine, file, container)
        with engine.network():
            until(deployed.is_healthy)
            yield deployed
    finally:
        engine.compose(file, "down", "--volumes")


def test_the_first_push_works_and_one_that_a_stop_meets_is_finished(deployment: Deployment, tmp_path: Path) -> None:
    """One test, since each start of the container takes seconds."""
    settings = settings_in(tmp_path) | deployment.engine.docker.environment
    shown = type_in(block("README.md", "runs: docker"), password_of("admin"), tmp_path, settings)
    assert "Login Succeeded" in shown
    push = SlowPush()
    push.start()
    until(lambda: push.sent > 0)

    stopped = deployment.engine.compose(deployment.file, "stop")

    push.join()
    assert (stopped.returncode, push.status) == (0, 201)
    assert deployment.engine.docker.run("inspect", "--format={{.State.ExitCode}}", deployment.container) == "0"


def test_a_missing_configuration_is_named_and_no_folder_is_made(engine: Engine, tmp_path: Path) -> None:
    file = engine.copy_of("docker-compose.yml", tmp_path)

    started = engine.compose(file, "up", "--detach", "--no-build")

    engine.compose(file, "down", "--volumes")
    assert started.returncode == 1
    assert f"{tmp_path}/config.yaml" in started.stderr
    assert not (tmp_path / "config.yaml").exists()


def test_another_registry_moves_in(engine: Engine, tmp_path: Path) -> None:
    """docs/moving.md, "In containers"."""
    file, override = engine.copy_of("docker-compose.yml", tmp_path), tmp_path / "docker-compose.override.yml"
    override.write_text(block("docs/moving.md", "compose: after").replace("/srv/acme", str(tmp_path)))
    users = block("docs/moving.md", "docker_auth").replace("PUT-A-BCRYPT-HASH-HERE", hash_of("ci"))
    (tmp_path / "auth_config.yml").write_text(users)
    shutil.copy(ROOT / "config.container.yaml", tmp_path / "config.yaml")
    tree = SourceTree(tmp_path / "storage")
    tree.push_image(b"one", "v1", name="web/app")
    fill = ("run", "--rm", "--user=0", f"--volume={tree.root}:/from:ro", "--volume=acme_images:/to", IMAGE)
    engine.docker.run(*fill, "cp", "--recursive", "/from/.", "/to")
    (typed,) = re.findall(r"docker compose run (--rm .*)", block("docs/moving.md", "runs: compose"))
    try:
        moved = engine.compose(file, f"--file={override}", "run", "-T", *typed.split())
    finally:
        engine.compose(file, f"--file={override}", "down", "--volumes")
        engine.docker.call("volume", "rm", "acme_images")

    assert moved.returncode == 0, moved.stdout + moved.stderr
    assert "1 tag of 1 repository answer with the same digest" in moved.stdout


class SlowPush(Thread):
    """A push of one blob in one request that takes PUSH_SECONDS."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.status = 0, 0

    def run(self) -> None:
        """Push, and keep the status of the answer."""
        path = f"/v2/myorg/slow/blobs/uploads/?digest={digest_of(LAYER)}"
        with closing(http.client.HTTPConnection("localhost", 5000, timeout=60)) as connection:
            ask = "/v2/token?service=Docker%20Registry&scope=repository:myorg/slow:pull,push"
            connection.request("GET", ask, headers={"Authorization": basic("admin")})
            token = json.loads(connection.getresponse().read())["token"]
            headers = {"Authorization": f"Bearer {token}", "Content-Length": str(len(LAYER))}
            connection.request("POST", path, self._slowly(), headers)
            self.status = connection.getresponse().status

    def _slowly(self) -> Iterator[bytes]:
        piece = len(LAYER) // PUSH_SECONDS
        for at in range(0, len(LAYER), piece):
            yield LAYER[at : at + piece]
            self.sent += piece
            time.sleep(1)
