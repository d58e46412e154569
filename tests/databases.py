"""Databases of servers that tests start, on SQLite or on the PostgreSQL of REGISTRY_DATABASE_URL."""

import atexit
import os
import secrets
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests import preloaded

MANAGE = Path(__file__).resolve().parents[1] / "manage.py"
FILE = "registry.sqlite3"
BALLAST = ".ballast"
BALLAST_BYTES = 16 * 1024 * 1024
PATIENCE_SECONDS = 120


def empty_database(folder: Path) -> str:
    """Return the URL of an empty database; the one of SQLite is a file in `folder` that is not there yet."""
    url = os.environ.get("REGISTRY_DATABASE_URL", "")
    return _created(url) if url.startswith("postgres") else _file_in(folder)


def migrated_database(folder: Path) -> str:
    """Return the URL of a new database that has all tables, copied from a template: that spares 0.6 seconds of CPU."""
    # A test may have a PostgreSQL of its own, to break it.
    template = _template(os.environ.get("REGISTRY_DATABASE_URL", ""))
    if not template.startswith("sqlite"):
        return _created(template, f' TEMPLATE "{_name_of(template)}"')
    url = _file_in(folder)
    shutil.copy(template.removeprefix("sqlite:///"), url.removeprefix("sqlite:///"))
    # A disk of the test's own gets a ballast at the start.
    with suppress(OSError):
        os.link(_ballast(template), f"{url.removeprefix('sqlite:///')}{BALLAST}")
    return url


def drop_database(url: str, server: str = "") -> None:
    """Drop a database of PostgreSQL; a SQLite file goes with its folder, and a server that has ended took all along."""
    if url.startswith("sqlite"):
        return
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(server or os.environ["REGISTRY_DATABASE_URL"], autocommit=True) as connection,
    ):
        connection.execute(f'DROP DATABASE "{_name_of(url)}" WITH (FORCE)'.encode())


@cache
def _template(server: str) -> str:
    """Migrate a database, once for each `server` in a process of the tests, which removes it at its end."""
    folder = Path(tempfile.mkdtemp(prefix="template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    url = empty_database(folder)
    atexit.register(drop_database, url, server)
    (folder / "config.yaml").write_text(f'database: {{url: "{url}"}}\n')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "DJANGO_"))}
    preloaded.run(
        [sys.executable, str(MANAGE), "migrate", "--skip-checks", "--verbosity=0"],
        # Its secret key and its signing keys stay in this folder: each server makes keys of its own.
        cwd=folder,
        env=kept | {"CONFIG_PATH": str(folder / "config.yaml")},
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return url


@cache
def _ballast(template: str) -> str:
    """Make the ballast of the databases from a template: 16 MiB of random bytes, which all of them link."""
    path = f"{template.removeprefix('sqlite:///')}{BALLAST}"
    Path(path).touch(0o600)
    Path(path).write_bytes(os.urandom(BALLAST_BYTES))
    return path


def _file_in(folder: Path) -> str:
    return f"sqlite:///{folder}/{FILE}"


def _name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _created(url: str, options: str = "") -> str:
    name = f"clients_{secrets.token_hex(4)}"
    with psycopg.connect(os.environ["REGISTRY_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"{options}'.encode())
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
