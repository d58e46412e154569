"""The server in a container that is confined as docker-compose.yml says.

A test can have no base image: the container holds nothing, and sees this machine's programs, read-only.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.clients.background import skip_without_namespaces
from tests.clients.docker import docker_at, engine_in
from tests.clients.layouts import image, random_layer
from tests.clients.program import Program, skopeo_in
from tests.clients.server import ROOT, RULES, Server, started
from tests.project.talk import until

pytestmark = pytest.mark.client("docker", "dockerd", "containerd", "skopeo")

USER = 10001  # as in the Dockerfile
SEEN = {"/usr", "/bin", "/lib", "/lib64", "/etc", str(ROOT), str(Path(sys.prefix).resolve()), sys.base_prefix}


def confined() -> list[str]:
    """Return what docker-compose.yml says of the registry's rights, as options of `docker run`."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["registry"]
    return [
        f"--read-only={str(service['read_only']).lower()}",
        *(f"--tmpfs={folder}" for folder in service["tmpfs"]),
        *(f"--cap-drop={capability}" for capability in service["cap_drop"]),
        *(f"--security-opt={option}" for option in service["security_opt"]),
    ]


class Container(Server):
    """A server in a container, whose folder is all that it may write to."""

    # A copy of the template would belong to the user of the tests.
    is_migrated = False

    def __init__(self, folder: Path, engine: Path) -> None:
        super().__init__(folder)
        self.docker = docker_at(f"unix://{engine}/docker.sock", engine, self.host)

    def start(self) -> None:
        """Make an image without content, and start the container."""
        (self.folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        self.docker.run("build", "--quiet", "--tag=nothing", str(self.folder))
        os.chown(self.folder, USER, USER)
        super().start()

    def command(self) -> list[str]:
        """Return what runs the server in the foreground, as the image's user."""
        volumes = [f"--volume={path}:{path}:ro" for path in sorted(SEEN)] + [f"--volume={self.folder}:{self.folder}"]
        variables = [f"--env=CONFIG_PATH={self.folder}/config.yaml", f"--workdir={ROOT}"]
        run = ["run", "--rm", "--name=registry", "--network=host", f"--user={USER}:{USER}"]
        server = ["nothing", *super().command()]
        return [*self.docker.words, *run, *confined(), *volumes, *variables, *server]

    def environment(self) -> dict[str, str]:
        """Return the environment of docker."""
        return super().environment() | self.docker.environment


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Run a registry in a container."""
    skip_without_namespaces("docker")
    engine = tmp_path_factory.mktemp("engine")
    server = Container(tmp_path_factory.mktemp("container"), engine)
    with engine_in(engine, server.host), started(server):
        yield server


@pytest.fixture
def alice(container: Container, tmp_path: Path) -> Program:
    """Return a skopeo that is logged in as alice."""
    skopeo = skopeo_in(tmp_path, container.host)
    skopeo.log_in("alice")
    return skopeo


def test_it_has_no_rights_and_a_root_that_cannot_be_written(container: Container) -> None:
    status = container.docker.run("exec", "registry", "cat", "/proc/1/status")
    mounts = container.docker.run("exec", "registry", "cat", "/proc/1/mounts")

    rights = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("Cap", "NoNewPrivs")))
    assert {name: int(value, 16) for name, value in rights.items() if int(value, 16)} == {"NoNewPrivs": 1}
    (root,) = [line.split()[3] for line in mounts.splitlines() if line.split()[1] == "/"]
    assert "ro" in root.split(",")


def test_an_image_is_pushed_and_pulled(container: Container, alice: Program, tmp_path: Path) -> None:
    layout = image(tmp_path / "pushed", random_layer())

    alice.run("copy", layout.reference("v1"), alice.docker("alice/confined:v1"))
    alice.run("copy", alice.docker("alice/confined:v1"), f"dir:{tmp_path / 'pulled'}")

    assert (tmp_path / "pulled" / "manifest.json").is_file()


def test_a_reload_finds_room_for_its_files(container: Container) -> None:
    rules = [*RULES, {"account": "bob", "name": "bob/*", "actions": ["*"]}]
    (container.folder / "config.yaml").write_text(yaml.safe_dump(container.configuration() | {"acl": rules}))

    container.docker.run("kill", "--signal=HUP", "registry")

    until(lambda: "configuration reloaded: 1 added" in container.log_file.read_text())
