"""Run a command on a PostgreSQL of its own: `python -m tests.postgresql pytest tests`.

The cluster lives in a temporary folder on a free port, and the command finds it in REGISTRY_DATABASE_URL.
It sorts text as people do (ICU), so that an order which should be by bytes and is not shows.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psycopg

from tests.ports import free_port

# Nothing here has to survive a power cut.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def programs() -> Path:
    """Return the folder of the newest PostgreSQL server programs."""
    found = [Path(path).parent for path in [shutil.which("postgres")] if path]
    found += Path("/usr/lib/postgresql").glob("*/bin")
    if not found:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    return max(found, key=lambda folder: int(folder.parent.name) if folder.parent.name.isdigit() else 0)


def owner() -> str | None:
    """Return the account to run the server as: PostgreSQL refuses root."""
    return "postgres" if os.geteuid() == 0 else None


def initialise(bin_folder: Path, data: Path) -> None:
    """Make an empty cluster in `data`, with `registry` as its superuser."""
    options = ["--username=registry", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    order = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
    subprocess.run(
        [bin_folder / "initdb", f"--pgdata={data}", *options, *order],
        user=owner(),
        cwd=data.parent,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def start(bin_folder: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a server on `folder/data` in a session of its own: Ctrl-C is for the tests, not for it."""
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
    words = [word for setting in (*SETTINGS, *options) for word in ("-c", setting)]
    command = [str(bin_folder / "postgres"), "-D", str(folder / "data"), *words]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, user=owner(), cwd=folder, stdout=log, stderr=log, start_new_session=True)


def wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return once the server answers; print its log and exit when it does not within two minutes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=10).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"PostgreSQL did not start:\n{log.read_text()}")


class Cluster:
    """A server on a folder and a port that stay the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        """Make an empty cluster in `folder`, and start nothing yet."""
        self._bin, self._folder, self._port = programs(), folder, free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://registry@127.0.0.1:{self._port}"
        initialise(self._bin, folder / "data")

    def start(self) -> None:
        """Start the server, and return once it answers."""
        self._server = start(self._bin, self._folder, self._port)
        wait_until_ready(self._server, f"{self.url}/postgres", self._folder / "log")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server, as `pg_ctl stop -m fast` does, or by SIGQUIT as `-m immediate`."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait()
            self._server = None


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a server, yield it, then stop it and remove what it wrote."""
    folder = Path(tempfile.mkdtemp(prefix="registry-postgresql-"))
    if account := owner():
        shutil.chown(folder, account)
    try:
        running = Cluster(folder)
        try:
            running.start()
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def leave(number: int, frame: FrameType | None) -> None:
    """Turn a signal into an exit, so that the cluster goes too."""
    sys.exit(128 + number)


def main() -> int:
    """Run the command of the command line and return its exit status."""
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    with cluster() as running:
        with psycopg.connect(f"{running.url}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE registry")
        environment = os.environ | {"REGISTRY_DATABASE_URL": f"{running.url}/registry"}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
