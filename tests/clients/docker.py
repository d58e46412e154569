"""A docker engine of the test's own, beside whatever the machine runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.background import running
from tests.clients.containerd import containerd_in
from tests.clients.program import Program

# It leaves the machine's network as it is.
NO_NETWORK = (
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
    "--userland-proxy=false",
)


@contextmanager
def engine_in(folder: Path, registry: str, *, is_mirror: bool = False) -> Iterator[str]:
    """Run containerd and dockerd with all their files in `folder`; yield the engine's DOCKER_HOST.

    The engine speaks plain HTTP to `registry`, which may be its mirror of Docker Hub. The storage driver is the first
    that the kernel permits.
    """
    for name in ("containerd", "dockerd"):
        (folder / name).mkdir()
    address = f"unix://{folder}/docker.sock"
    docker = docker_at(address, folder, registry)
    with containerd_in(folder / "containerd") as containerd:
        command = dockerd_command(folder / "dockerd", registry, containerd, address, is_mirror=is_mirror)
        with running(command, folder / "dockerd", lambda: docker.call("version").returncode == 0):
            yield address


def dockerd_command(
    folder: Path, registry: str, containerd: Path, address: str, *, is_mirror: bool = False
) -> list[str]:
    """Return the command that starts dockerd, whose files are in `folder`."""
    mirrors = {"registry-mirrors": [f"http://{registry}"]} if is_mirror else {}
    (folder / "daemon.json").write_text(json.dumps({"insecure-registries": [registry]} | mirrors))
    files = {
        "config-file": folder / "daemon.json",
        "containerd": containerd,
        "data-root": folder / "data",
        "exec-root": folder / "exec",
        "pidfile": folder / "dockerd.pid",
        "host": address,
    }
    return ["dockerd", *(f"--{name}={value}" for name, value in files.items()), *NO_NETWORK]


def docker_at(address: str, folder: Path, host: str) -> Program:
    """Return a docker that keeps its login in `folder` and talks to the engine at `address`."""
    return Program(("docker",), host, docker_settings(address, folder))


def docker_settings(address: str, folder: Path) -> dict[str, str]:
    """Return docker's environment. The builder is the engine's own: BuildKit is a program of its own, not here."""
    return {"DOCKER_HOST": address, "DOCKER_CONFIG": str(folder / "docker"), "DOCKER_BUILDKIT": "0"}
