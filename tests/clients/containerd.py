"""A containerd of the test's own, beside whatever the machine runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.background import running
from tests.clients.program import Program

# Without the part for Kubernetes, which wants a network, and without `opt`, which is a folder of the machine's.
CONFIGURATION = """version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{folder}/containerd.sock"
"""


@contextmanager
def containerd_in(folder: Path) -> Iterator[Path]:
    """Run containerd with all its files in `folder`; yield its socket."""
    (folder / "config.toml").write_text(CONFIGURATION.format(folder=folder))
    socket = folder / "containerd.sock"
    ctr = ctr_at(socket, "")

    def is_ready() -> bool:
        return socket.exists() and ctr.call("version").returncode == 0

    with running(["containerd", "--config", str(folder / "config.toml"), "--log-level", "warn"], folder, is_ready):
        yield socket


def ctr_at(socket: Path, host: str) -> Program:
    """Return a ctr that talks to the containerd at `socket`. It has no login: each call brings a password."""
    return Program(("ctr", "--address", str(socket)), host)
