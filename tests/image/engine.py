"""A docker engine with the image, on the machine's network or on one of its own.

On the machine's network it makes no bridge, and containers run with `--network=host`: a build downloads packages.
On its own, dockerd runs in a network namespace that ends with it, with all bridges, ports and rules of iptables. Images
stay in a folder of the user's cache, so that the next build repeats only what has changed.
"""

import ctypes
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.background import running
from tests.clients.containerd import containerd_in
from tests.clients.docker import NO_NETWORK, docker_at
from tests.clients.program import Program
from tests.clients.server import ROOT
from tests.image import base

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "registry-image")
IMAGE = "registry:trial"
REVISION = "0123456789abcdef0123456789abcdef01234567"
_CLONE_NEWNET = 0x40000000
# A build without its cache downloads every package.
_BUILD_SECONDS = 1200


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine, and a docker that talks to it."""

    docker: Program
    folder: Path

    def compose(self, file: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run compose with one of our files, and return what came of it."""
        command = [*self.compose_program(), "--project-name=trial", f"--file={file}", *words]
        environment = os.environ | self.docker.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def compose_program(self) -> list[str]:
        """Return docker's plugin where there is one, else the program of Debian 12, which is the first version."""
        return ["docker-compose"] if self.docker.call("compose", "version").returncode else ["docker", "compose"]

    def copy_of(self, name: str, folder: Path) -> Path:
        """Return a copy of a compose file in `folder`, whose image is the one that was built."""
        for image in ("trial_registry", "trial-registry"):  # as both versions of compose name what they build
            self.docker.run("tag", IMAGE, image)
        text = (ROOT / name).read_text()
        if self.compose_program() == ["docker-compose"]:
            # It does so without being told, and refuses the key.
            text = text.replace("        bind: {create_host_path: false}\n", "")
        (folder / name).write_text(text)
        return folder / name

    @contextmanager
    def network(self) -> Iterator[None]:
        """Move this thread, and what it starts, to the network of the engine, where compose publishes ports."""
        pid = int((self.folder / "dockerd.pid").read_text())
        with Path("/proc/thread-self/ns/net").open() as outside, Path(f"/proc/{pid}/ns/net").open() as inside:
            _enter(inside.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def engine_on_the_machine(folder: Path) -> Iterator[Engine]:
    """Run an engine that has built the image; a first build takes minutes, a later one seconds."""
    with _engine(folder, (), NO_NETWORK) as engine:
        _build(engine)
        yield engine


@contextmanager
def engine_on_its_own(folder: Path) -> Iterator[Engine]:
    """Run an engine that has the image, and a network of its own."""
    (folder / "builder").mkdir()
    with engine_on_the_machine(folder / "builder"):
        pass
    with _engine(folder, ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")) as engine:
        yield engine


@contextmanager
def _engine(folder: Path, prefix: Sequence[str], options: Sequence[str] = ()) -> Iterator[Engine]:
    """Run dockerd and containerd during the block; only images outlive it, and one run at a time has them."""
    CACHE.mkdir(parents=True, exist_ok=True)
    engine = Engine(docker_at(f"unix://{folder}/docker.sock", folder, "localhost:5000"), folder)
    (folder / "containerd").mkdir()
    (folder / "dockerd").mkdir()
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with containerd_in(folder / "containerd") as containerd:
            command = [*prefix, *_dockerd(folder, containerd), *options]
            with running(command, folder / "dockerd", lambda: engine.docker.call("version").returncode == 0):
                # Left by a run that was killed.
                for container in engine.docker.run("ps", "--all", "--quiet").split():
                    engine.docker.run("rm", "--force", "--volumes", container)
                engine.docker.run("volume", "prune", "--force")
                yield engine


def _dockerd(folder: Path, containerd: Path) -> list[str]:
    (folder / "daemon.json").write_text(json.dumps({"log-level": "warn"}))
    files = {
        "config-file": folder / "daemon.json",
        "containerd": containerd,
        "data-root": CACHE / "docker",
        "exec-root": folder / "dockerd" / "exec",
        "pidfile": folder / "dockerd.pid",
        "host": f"unix://{folder}/docker.sock",
    }
    return ["dockerd", *(f"--{name}={value}" for name, value in files.items())]


def _build(engine: Engine) -> None:
    """Build the image, on the stand-in for its base unless the real one is here."""
    if engine.docker.call("image", "inspect", base.tag()).returncode:
        tar = CACHE / f"{base.tag().rpartition('-')[2]}.tar"
        if not tar.exists():
            base.make(tar)
        engine.docker.run("import", str(tar), base.tag())
    arguments = [f"--build-arg=BASE={base.tag()}", f"--build-arg=REVISION={REVISION}"]
    command = ["docker", "build", "--network=host", *arguments, f"--tag={IMAGE}", str(ROOT)]
    environment = os.environ | engine.docker.environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    # Layers of older sources. The other stages have no name either, and a build reuses them: they stay for a month.
    engine.docker.run("image", "prune", "--force", "--filter=until=720h")
