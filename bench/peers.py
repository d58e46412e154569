"""The two registries that are compared: ours as it is shipped, and Debian's docker-registry."""

import http.client
import ipaddress
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode

import bcrypt
import psycopg
import yaml

from bench import process_tree
from tests.clients.server import Server, basic, kill_group, password_of
from tests.ports import free_port

PROGRAM = "docker-registry"
ACCOUNT = "alice"
# Its password costs what a password costs; the others are cheap, so that preparing takes no minutes.
LOGIN_ACCOUNT = "developer"
LOGIN_COST = 10
# A token lives for 30 minutes.
TOKEN_SECONDS = 600
START_SECONDS = 30


class AsShipped(Server):
    """The server that is measured."""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says, with one password of the usual cost."""
        shipped = super().configuration()
        hashed = bcrypt.hashpw(password_of(LOGIN_ACCOUNT).encode(), bcrypt.gensalt(LOGIN_COST)).decode()
        users: dict[str, object] = shipped["users"]  # type: ignore[assignment]
        # One client, which asks for thousands of tokens a minute.
        server = {"addr": self.host, "limits": {"logins_per_minute": 0}}
        return shipped | {"server": server, "users": users | {LOGIN_ACCOUNT: {"password": hashed}}}


class Ours:
    """Our registry under gunicorn as shipped: default workers and threads, signed tokens, SQLite, filesystem.

    REGISTRY_DATABASE_URL may name a PostgreSQL; its CPU time counts too when it is on this machine.
    """

    name = "ours"
    kind = AsShipped

    def __init__(self, folder: Path) -> None:
        """Start it with everything in `folder`."""
        folder.mkdir()
        self._server = self.kind(folder)
        self._tokens: dict[str, tuple[float, str]] = {}
        self.address = ("127.0.0.1", self._server.port)
        self._database_pids = _database_pids(self._server.database_url)
        try:
            self._server.start()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master."""
        assert self._server.process is not None
        return self._server.process.pid

    def cpu_seconds(self) -> float:
        """Return what it has used, all its processes and the database together."""
        return sum(process_tree.cpu_seconds(root) for root in (self.pid, *self._database_pids))

    def own_cpu_seconds(self) -> float:
        """Return what its processes have used, without the database."""
        return process_tree.cpu_seconds(self.pid)

    @property
    def database(self) -> str:
        """What it keeps its rows in."""
        return self.database_url.partition(":")[0]

    @property
    def database_url(self) -> str:
        """Where it keeps its rows."""
        return self._server.database_url

    @property
    def configuration_file(self) -> Path:
        """The file that it was started with."""
        return self._server.folder / "config.yaml"

    def authorization(self, scope: str) -> str:
        """Return the header for a scope, with a token that is good for the round to come."""
        made_at, token = self._tokens.get(scope, (0.0, ""))
        if not token or time.monotonic() - made_at > TOKEN_SECONDS:
            token = self._server.token(ACCOUNT, *scope.split(" "))
            self._tokens[scope] = (time.monotonic(), token)
        return f"Authorization: Bearer {token}\r\n"

    def login(self) -> tuple[str, str]:
        """Return the path that gives a token, and the header of an account whose password has the usual cost."""
        query = urlencode({"service": "Docker Registry", "scope": "repository:myorg/backend-api:pull"})
        return f"/v2/token?{query}", f"Authorization: {basic(LOGIN_ACCOUNT)}\r\n"

    @property
    def objects(self) -> Path:
        """The folder of its blobs."""
        return self._server.data / "objects"

    def stop(self) -> None:
        """End it, and remove its database."""
        self._server.stop()

    def end(self) -> None:
        """End it, and leave its database to others."""
        self._server.end()


class Reference:
    """Debian's docker-registry with the configuration of its package, less authentication and the log."""

    name = "theirs"
    database = "files"

    def __init__(self, folder: Path) -> None:
        """Start it with everything in `folder`."""
        folder.mkdir()
        self.address = ("127.0.0.1", free_port())
        self._data = folder / "data"
        (folder / "config.yml").write_text(yaml.safe_dump(self.configuration()))
        with (folder / "log").open("wb") as log:
            command = [PROGRAM, "serve", str(folder / "config.yml")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait(folder / "log")
        except BaseException:
            self.stop()
            raise

    def configuration(self) -> dict[str, object]:
        """Return what its configuration file says."""
        return {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "cache": {"blobdescriptor": "inmemory"},
                "filesystem": {"rootdirectory": str(self._data)},
                "delete": {"enabled": True},
            },
            "http": {
                "addr": f"{self.address[0]}:{self.address[1]}",
                "headers": {"X-Content-Type-Options": ["nosniff"]},
            },
            "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        }

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Return what it has used."""
        return process_tree.cpu_seconds(self.pid)

    def authorization(self, scope: str) -> str:
        """Return no header: it asks nobody who they are."""
        return ""

    @property
    def objects(self) -> Path:
        """The folder of its blobs."""
        return self._data / "docker/registry/v2/blobs"

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        finally:
            kill_group(self._process.pid)

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = http.client.HTTPConnection(*self.address, timeout=5)
            try:
                connection.request("GET", "/v2/")
                connection.getresponse().read()
            except OSError:
                time.sleep(0.05)
            else:
                return
            finally:
                connection.close()
        raise AssertionError(f"{PROGRAM} does not answer:\n{log.read_text()}")


Peer = Ours | Reference


def _database_pids(url: str) -> list[int]:
    """Return the process id of a PostgreSQL on this machine, the parent of the process that serves a connection."""
    if url.startswith("sqlite"):
        return []
    with psycopg.connect(url) as connection:
        pid = connection.info.backend_pid
        is_here = ipaddress.ip_address(connection.info.hostaddr).is_loopback
        return [process_tree.parent(pid)] if is_here else []


def is_installed() -> bool:
    """Tell whether the other registry is there."""
    return shutil.which(PROGRAM) is not None
