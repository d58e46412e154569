"""The commands of docs/backup.md as they stand there; only paths and names are those of the test's places."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.backup.place import Place, fill
from tests.clients.server import ROOT, started
from tests.databases import drop_database
from tests.documents import block
from tests.postgresql import programs

DOCUMENT = "docs/backup.md"
FOLDER = "/srv/backup/registry"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("documented") / "place")
    with started(place):
        yield place


def typed(commands: str, place: Place, folder: Path) -> str:
    """Run `commands` as an operator of `place`, with `folder` for the backup, and return what they say."""
    commands = re.sub(r"\S*\.venv/bin/python manage\.py", f"{sys.executable} {ROOT}/manage.py", commands)
    for written, meant in {FOLDER: folder, "/etc/registry/config.yaml": place.config, "/srv/registry": ROOT}.items():
        commands = commands.replace(written, str(meant))
    ended = subprocess.run(
        ["sh", "-eux", "-c", commands],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_backup_is_made_and_restored_as_typed(place: Place, tmp_path: Path) -> None:
    image, folder, target = fill(place), tmp_path / "backup", Place(tmp_path / "target")
    try:
        made = typed(block(DOCUMENT, "runs: backup"), place, folder)
        typed(block(DOCUMENT, "runs: restore"), target, folder)
        target.start()
        checked = typed(block(DOCUMENT, "runs: check"), target, folder)
        pulled = target.pusher().pull(image, "kept")
    finally:
        target.stop()

    assert re.search(r"objects: \d+, .* linked, 0 copied, 0 there already, 0 removed\nbackup of .* complete in", made)
    assert (checked, pulled) == ("no problems\n", True)


def test_the_unit_makes_a_backup(place: Place, tmp_path: Path) -> None:
    found = re.search(r"^ExecStart=(.+)$", block(DOCUMENT, "unit: service"), re.MULTILINE)

    assert found
    assert "complete in" in typed(found[1], place, tmp_path / "backup")


def test_the_line_for_cron_makes_a_backup(place: Place, tmp_path: Path) -> None:
    minute, hour, *_, account, command = block(DOCUMENT, "cron").split(maxsplit=6)

    assert (minute, hour, account) == ("0", "3", "registry")
    assert "complete in" in typed(command, place, tmp_path / "backup")


def test_an_empty_database_is_made_as_typed(tmp_path: Path) -> None:
    url = os.environ.get("REGISTRY_DATABASE_URL", "")
    if not url.startswith("postgres"):
        pytest.skip("SQLite makes its file itself")
    parts, name = urlsplit(url), f"clients_{secrets.token_hex(4)}"
    command = block(DOCUMENT, "runs: createdb").split()
    connection = {"PGHOST": str(parts.hostname), "PGPORT": str(parts.port), "PGUSER": str(parts.username)}
    subprocess.run([programs() / command[0], *command[1:-1], name], env=os.environ | connection, check=True)

    made = urlunsplit(parts._replace(path=f"/{name}"))
    try:
        with psycopg.connect(made) as database:
            assert database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    finally:
        drop_database(made)
