"""A registry to try clients on: gunicorn with a configuration, folder, port and database of its own."""

import hashlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import bcrypt
import psycopg
import yaml

from core.private_files import make_private_folder
from tests import preloaded
from tests.databases import drop_database, empty_database, migrated_database
from tests.ports import free_port
from tests.storages import is_s3, objects_of, section
from tokens.keys.signing_key import new_private_pem

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = ("admin", "alice", "bob", "charlie", "developer")
RULES: list[dict[str, object]] = [
    {"account": "admin", "name": "*", "actions": ["*"]},
    {"account": "alice", "name": "alice/*", "actions": ["*"]},
    {"account": "bob", "name": "alice/*", "actions": ["pull"]},
    {"account": "developer", "name": "myorg/backend-*", "actions": ["pull", "push"]},
    {"account": "developer", "name": "myorg/frontend", "actions": ["pull"]},
    {"account": "developer", "name": "tagged/*", "actions": ["pull", "push", "delete"], "tags": "dev-*"},
    {"account": "alice", "name": "alice/frozen", "actions": ["push"], "tags": "v*", "deny": True},
    {"anonymous": True, "name": "public/*", "actions": ["pull"]},
]


def password_of(account: str) -> str:
    """Return the password that `account` logs in with."""
    return f"{account}-password"


@cache
def hash_of(account: str) -> str:
    """Return the hash of its password, the same in each server of a run. The cost is 4, since a test logs in often."""
    return bcrypt.hashpw(password_of(account).encode(), bcrypt.gensalt(4)).decode()


@cache
def known_key(name: str, signing_method: str) -> bytes:
    """Return a private key for a file, the same in each server of a run."""
    return new_private_pem(signing_method)


def put_known_keys(folder: Path, signing_method: str) -> None:
    """Make the folder of keys with the one that signs, and the one that signs next."""
    make_private_folder(folder)
    for name in ("registry.key", "registry.next.key"):
        (folder / name).touch(0o600)
        (folder / name).write_bytes(known_key(name, signing_method))


def basic(account: str) -> str:
    """Return the Authorization header of `account`."""
    return "Basic " + b64encode(f"{account}:{password_of(account)}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A row of the table of blobs, and the file where its bytes have to be."""

    digest: str
    size: int
    file: Path

    def is_sound(self) -> bool:
        """Return whether the file is there with the size and the digest of the row."""
        if not self.file.is_file() or self.file.stat().st_size != self.size:
            return False
        with self.file.open("rb") as content:
            return self.digest == f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


class Server:
    """A running server. `host` is `127.0.0.1:<port>`, as clients write it before a repository."""

    # False where the start has to make the tables, or a backup.
    is_migrated = True
    # Whether pulls are redirected to a storage that has URLs.
    redirects = False
    # False where servers have to come to the same keys. Others get the same: a start spends a tenth on making some.
    has_known_keys = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.data = folder / "data"
        self.log_file = folder / "server.log"
        self.database_url = (migrated_database if self.is_migrated else empty_database)(folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start gunicorn and return once it answers; raise AssertionError with its log when it does not."""
        configuration: Any = self.configuration()
        if is_s3():
            # Where the keys are does not follow from where the objects are.
            configuration["server"].setdefault("data_directory", str(self.data))
        (self.folder / "config.yaml").write_text(yaml.safe_dump(configuration))
        if self.is_migrated and self.has_known_keys and not self.data.exists():
            put_known_keys(self.data / "keys", configuration.get("auth", {}).get("signing_method", "ecdsa"))
        with self.log_file.open("ab") as log:
            self.process = preloaded.Popen(
                self.command(),
                cwd=ROOT,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_until_healthy()

    def command(self) -> list[str]:
        """Return what starts the server."""
        return [sys.executable, "-m", "gunicorn"]

    def environment(self) -> dict[str, str]:
        """Return the environment of the server and its commands: its configuration, and nothing of the tests'."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "DJANGO_"))}
        return kept | {"CONFIG_PATH": str(self.folder / "config.yaml")}

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        users = {name: {"password": hash_of(name), "superuser": name == "admin"} for name in ACCOUNTS}
        return {
            "server": {"addr": self.host},
            "users": users,
            "acl": RULES,
            "storage": section(self.data, redirects=self.redirects),
            "database": {"url": self.database_url},
        }

    def wait_until_healthy(self) -> None:
        """Return once /health answers 200; AssertionError after two minutes, or when the server ended."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            if self.is_healthy():
                return
            time.sleep(0.1)
        raise AssertionError(f"the server does not answer:\n{self.log_file.read_text()}")

    def is_healthy(self) -> bool:
        """Return whether /health answers 200."""
        try:
            return self.request("GET", "/health").status == HTTPStatus.OK
        except OSError:
            return False

    def stop(self) -> None:
        """End the server and its workers, and drop its database."""
        try:
            self.end()
        finally:
            drop_database(self.database_url)

    def end(self) -> None:
        """End the server and its workers; it can be started again."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            # Far above gunicorn's graceful timeout, which the slowest client spends.
            self.process.wait(timeout=120)
        finally:
            kill_group(self.process.pid)

    def does(self, *words: object) -> str:
        """Run `manage.py` beside the server, and return what it printed; AssertionError when it fails."""
        command = [sys.executable, str(ROOT / "manage.py"), *map(str, words)]
        done = preloaded.run(command, env=self.environment(), cwd=self.folder, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def workers(self) -> list[int]:
        """Return the process ids of the workers: of the master's children, those that run the same program as it."""
        assert self.process is not None
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        # Not the one that imports the configuration.
        return [int(pid) for pid in children if command_line(int(pid)) == command_line(master)]

    def request(
        self,
        method: str,
        path: str,
        *,
        authorization: str = "",
        body: bytes | None = None,
        more: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request, with `more` headers, and return the answer."""
        headers = ({"Authorization": authorization} if authorization else {}) | (more or {})
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())

    def token(self, account: str, *scopes: str) -> str:
        """Return a token of `account` for `scopes`."""
        query = urlencode([("service", "Docker Registry"), *(("scope", scope) for scope in scopes)])
        answer = self.request("GET", f"/v2/token?{query}", authorization=basic(account))
        token: str = json.loads(answer.body)["token"]
        return token

    def rows(self, query: str) -> list[Sequence[Any]]:
        """Return the rows that `query` finds in the server's database."""
        if self.database_url.startswith("sqlite"):
            with closing(sqlite3.connect(self.folder / "registry.sqlite3")) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(self.database_url) as postgresql:
            return list(postgresql.execute(query.encode()).fetchall())

    def execute(self, statement: str) -> None:
        """Change the server's database."""
        if self.database_url.startswith("sqlite"):
            with closing(sqlite3.connect(self.folder / "registry.sqlite3", timeout=30)) as connection, connection:
                connection.execute(statement)
        else:
            with psycopg.connect(self.database_url) as postgresql:
                postgresql.execute(statement.encode())

    def stored_bytes(self) -> int:
        """Return the size of all objects in the storage, those of open uploads too."""
        return sum(size_of(file) for file in objects_of(self.data).glob("objects/*/*"))

    def objects(self) -> set[str]:
        """Return the keys of all stored objects."""
        folder = objects_of(self.data)
        return {str(file.relative_to(folder)) for file in folder.glob("objects/*/*")}

    def blobs(self) -> list[StoredBlob]:
        """Return every blob that the database names."""
        rows = self.rows("SELECT digest, size, key FROM distribution_blob")
        folder = objects_of(self.data)
        return [StoredBlob(digest, size, folder / key) for digest, size, key in rows]


ServerT = TypeVar("ServerT", bound=Server)


@contextmanager
def started(server: ServerT) -> Iterator[ServerT]:
    """Run a server during the block."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


def size_of(file: Path) -> int:
    """Return the size of a file, 0 when the server has just removed it."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def command_line(pid: int) -> bytes:
    """Return the program and the arguments of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def kill_group(group: int) -> None:
    """Kill what is left of a process group, and return once none of it has files or locks any more."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 60
    while any(_is_running_in(group, stat) for stat in Path("/proc").glob("[0-9]*/stat")):
        assert time.monotonic() < deadline, f"group {group} does not end"
        time.sleep(0.01)


def _is_running_in(group: int, stat: Path) -> bool:
    """Tell whether a process is of the group and goes on; a dead one stays until its parent asks how it ended."""
    try:
        # Behind the program's name, which may be anything: state, parent, group.
        state, _, own, *_ = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(own) == group and state not in ("Z", "X")
