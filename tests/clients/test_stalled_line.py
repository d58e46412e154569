"""Pushes over a line that stands still for longer than the server waits for a client: 408, then a replay."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from server.listener import READ_SECONDS
from tests.clients.background import skip_without_namespaces
from tests.clients.conftest import LogIn
from tests.clients.containerd import containerd_in, ctr_at
from tests.clients.docker import docker_at, engine_in
from tests.clients.layouts import image, random_layer
from tests.clients.program import Program
from tests.clients.recipes import tags_of
from tests.clients.server import Server, password_of
from tests.clients.stalling_line import stalling_line

MIB = 1024 * 1024
STALL_SECONDS = READ_SECONDS + 10
# Where in the body of its largest layer an upload stands still.
PLACES = (0, MIB // 2, 2 * MIB, 50 * MIB)

pytestmark = pytest.mark.client("containerd", "ctr", "skopeo", "docker", "dockerd")


@pytest.fixture(autouse=True, scope="module")
def can_run() -> None:
    """Leave the tests out where neither engine can run."""
    skip_without_namespaces("containerd and docker")


@pytest.fixture
def socket() -> Iterator[Path]:
    """Run a containerd, in a short folder: a socket's path has 104 characters at most."""
    with TemporaryDirectory(prefix="containerd-") as folder, containerd_in(Path(folder)) as path:
        yield path


def imported(socket: Path, alice: Program, folder: Path, host: str, place: int) -> str:
    """Put an image with a layer that reaches beyond `place` into containerd, and return its name."""
    source = image(folder / f"image-{place}", random_layer(place + MIB))
    archive, name = folder / f"{place}.tar", f"{host}/alice/stalled-{place}:v1"
    alice.run("copy", source.reference("v1"), f"oci-archive:{archive}:v1")
    ctr_at(socket, host).run("images", "import", "--base-name", name.removesuffix(":v1"), str(archive))
    return name


def test_containerd_pushes_over_a_line_that_stands_still(
    server: Server, skopeo: LogIn, socket: Path, tmp_path: Path
) -> None:
    alice, user = skopeo("alice"), f"--user=alice:{password_of('alice')}"
    with ExitStack() as lines, ThreadPoolExecutor(len(PLACES)) as threads:
        found = [lines.enter_context(stalling_line(server.port, place, STALL_SECONDS)) for place in PLACES]
        names = [imported(socket, alice, tmp_path, line.host, line.after_bytes) for line in found]
        pushes = [
            threads.submit(ctr_at(socket, line.host).run, "images", "push", "--plain-http", user, name)
            for line, name in zip(found, names, strict=True)
        ]
        for push in pushes:
            push.result()

    assert all(line.has_stalled for line in found)
    for line in found:
        alice.run(
            "copy",
            alice.docker(f"alice/stalled-{line.after_bytes}:v1"),
            f"oci:{tmp_path}/pulled-{line.after_bytes}:v1",
        )


def test_docker_pushes_over_a_line_that_stands_still(
    server: Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The path of a socket has at most 107 characters.
    context, engine = tmp_path / "context", tmp_path_factory.mktemp("docker")
    context.mkdir()
    (context / "content").write_bytes(secrets.token_bytes(4 * MIB))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY content /\n")
    with stalling_line(server.port, 2 * MIB, STALL_SECONDS) as line, engine_in(engine, line.host) as address:
        alice, name = docker_at(address, tmp_path, line.host), f"{line.host}/alice/stalled-by-docker:v1"
        alice.log_in("alice")
        alice.run("build", "--quiet", f"--tag={name}", str(context))

        alice.run("push", name)

    assert line.has_stalled
    assert tags_of(server, "alice/stalled-by-docker") == ["v1"]
