"""Count the product files that requests and commands pass through: `python -m bench.walk [TREE]`.

Prints, for each walk of a newcomer through the code, how many files it touches and how often it enters a function in
another file than the function entered before. The server parses no request here: the walks begin at the WSGI
application. Code is warm, the login is cold. TREE is another
checkout, whose modules may have other names.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlencode

import bcrypt
import yaml

NOT_THE_PRODUCT = {"tests", "bench", "supply", ".venv", "migrations"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PASSWORD = b"a password"
HASH = bcrypt.hashpw(PASSWORD, bcrypt.gensalt(10)).decode()


class Walk:
    """The product files that were entered, in order."""

    def __init__(self, tree: Path) -> None:
        """Touch nothing yet."""
        self._tree = tree
        self._product: dict[str, str] = {}
        self._last = ""
        self.files: Counter[str] = Counter()
        self.changes = 0

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a function that is entered; a profile function."""
        if event != "call":
            return
        name = frame.f_code.co_filename
        file = self._product.get(name)
        if file is None:
            file = self._product[name] = self._product_file(name)
        if file:
            self.changes += bool(self._last) and file != self._last
            self._last = file
            self.files[file] += 1

    def _product_file(self, name: str) -> str:
        try:
            relative = Path(name).relative_to(self._tree)
        except ValueError:
            return ""
        return "" if NOT_THE_PRODUCT & set(relative.parts) or len(relative.parts) == 1 else str(relative)

    @contextmanager
    def traced(self) -> Iterator[None]:
        """Note what this thread and those that it starts enter."""
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


class Registry:
    """The application of a tree in this process, on a folder of its own."""

    def __init__(self, tree: Path, folder: Path) -> None:
        """Let a server make database and keys, then load the application."""
        self.config = folder / "config.yaml"
        self.users = ["alice", "bob"]
        self.write_config()
        server = [sys.executable, "-m", "gunicorn", "-c", str(tree / "gunicorn.conf.py"), "--bind", "127.0.0.1:0"]
        with subprocess.Popen(server, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
            said = iter(process.stdout or ())
            while not next(said).startswith("registry listening"):
                pass
            process.terminate()
        os.chdir(folder)
        os.environ["CONFIG_PATH"] = str(self.config)
        sys.path[:0] = [str(tree), str(tree / "gc")]
        from registry_project.wsgi import application

        self._application: Callable[..., Any] = application

    def write_config(self) -> None:
        """Write the configuration with its users, each of whom may do everything."""
        users = {user: {"password": HASH, "superuser": True} for user in self.users}
        rules = [{"account": user, "name": "*", "actions": ["*"]} for user in self.users]
        storage = {"filesystem": {"rootdirectory": "data"}, "min_free": "0"}
        collector = {"enabled": False, "grace_period": "0s", "remove_untagged": True}
        more = {"garbage_collector": collector, "server": {"workers": 2}}
        self.config.write_text(yaml.safe_dump({"users": users, "acl": rules, "storage": storage} | more))

    def command(self, *words: str) -> None:
        """Run a management command, without what it prints."""
        from django.core.management import call_command

        call_command(*words, stdout=io.StringIO())

    def load_config(self) -> None:
        """Import config.yaml, as a new process does that reads the file."""
        from django.conf import settings

        configuration = import_module(type(settings.REGISTRY).__module__.rpartition(".")[0])
        settings.REGISTRY = configuration.load(self.config)
        self.command("loadconfig", str(self.config))

    def age_trash(self) -> None:
        """Let the trash be due."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("UPDATE distribution_trash SET delete_after = '2000-01-01 00:00:00'")

    def ask(self, method: str, path: str, authorization: str, body: bytes = b"") -> tuple[dict[str, str], bytes]:
        """Send a request to the application and return the headers and body of a good answer."""
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "5000",
            "HTTP_HOST": "localhost:5000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_AUTHORIZATION": authorization,
            "HTTP_ACCEPT": MANIFEST,
            "CONTENT_TYPE": MANIFEST if "manifests" in path else "application/octet-stream",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
            "wsgi.file_wrapper": lambda file, size: iter(lambda: file.read(size), b""),
        }
        head: list[Any] = []
        content = b"".join(self._application(environ, lambda status, headers: head.extend((status, headers))))
        if not head[0].startswith("2"):
            sys.exit(f"{method} {path}: {head[0]} {content.decode()}")
        return {name.lower(): value for name, value in head[1]}, content

    def token(self, account: str) -> str:
        """Log in, and return the Authorization header for every right in one repository."""
        basic = b64encode(account.encode() + b":" + PASSWORD).decode()
        query = urlencode({"service": "Docker Registry", "scope": "repository:an/app:pull,push,delete"})
        _, content = self.ask("GET", f"/v2/token?{query}", f"Basic {basic}")
        return f"Bearer {json.loads(content)['token']}"

    def open_upload(self, token: str) -> str:
        """Open an upload session and return its location."""
        return self.ask("POST", "/v2/an/app/blobs/uploads/", token)[0]["location"]


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest(layer: bytes) -> bytes:
    """Return a manifest of an image whose layer is its configuration too."""
    descriptor = {"mediaType": "application/octet-stream", "digest": digest_of(layer), "size": len(layer)}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [descriptor]}
    ).encode()


def walks(registry: Registry, account: str, traced: Callable[[str], Any]) -> None:
    """Do everything once, with an account that has not logged in before."""
    with traced("token for a password"):
        token = registry.token(account)
    layer = f"a layer of {account}".encode()
    session = registry.open_upload(token)
    with traced("PATCH blob"):
        registry.ask("PATCH", session, token, layer)
    registry.ask("PUT", f"{session}?digest={digest_of(layer)}", token)
    tag = f"/v2/an/app/manifests/{account}"
    with traced("PUT manifest"):
        registry.ask("PUT", tag, token, manifest(layer))
    with traced("GET manifest by tag"):
        registry.ask("GET", tag, token)
    registry.users.append(f"{account}-2")
    registry.write_config()
    with traced("a user from config.yaml (loadconfig)"):
        registry.load_config()
    with traced("a deleted tag to freed bytes"):
        registry.ask("DELETE", tag, token)
        registry.command("gc")
    registry.age_trash()
    with traced("a deleted tag to freed bytes"):
        registry.command("gc")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.walk")
    parser.add_argument("tree", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--files", action="store_true", help="Name the files, with the functions entered in each.")
    options = parser.parse_args()
    tree = options.tree.resolve()
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(tree, Path(folder))
        walks(registry, "alice", lambda _: Walk(tree).traced())
        found: dict[str, Walk] = {}
        walks(registry, "bob", lambda name: found.setdefault(name, Walk(tree)).traced())
    print(f"{'walk':38} {'files':>6} {'changes of file':>16}")
    for name, walk in found.items():
        print(f"{name:38} {len(walk.files):6} {walk.changes:16}")
        if options.files:
            print(*(f"    {count:5} {file}" for file, count in walk.files.items()), sep="\n")


if __name__ == "__main__":
    main()
