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
    """Return once the server answers; print its log and exit when it does not within 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"PostgreSQL did not start:\n{log.read_text()}")


@contextmanager
def cluster() -> Iterator[str]:
    """Start a server, yield its URL without a database name, then stop it and remove what it wrote."""
    bin_folder, port = programs(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="registry-postgresql-"))
    if account := owner():
        shutil.chown(folder, account)
    try:
        initialise(bin_folder, folder / "data")
        server = start(bin_folder, folder, port)
        try:
            url = f"postgresql://registry@127.0.0.1:{port}"
            wait_until_ready(server, f"{url}/postgres", folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def leave(number: int, frame: FrameType | None) -> None:
    """Turn a signal into an exit, so that the cluster goes too."""
    sys.exit(128 + number)


def main() -> int:
    """Run the command of the command line and return its exit status."""
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    with cluster() as url:
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE registry")
        environment = os.environ | {"REGISTRY_DATABASE_URL": f"{url}/registry"}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
