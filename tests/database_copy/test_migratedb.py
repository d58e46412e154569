"""`manage.py migratedb`: the registry goes on in PostgreSQL as it was in SQLite, or nothing is overwritten."""

import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import yaml
from django.core.management import CommandError, call_command

from core.db.setup import START_LOCK
from core.failpoints import NAMES
from database_copy.management.commands import migratedb
from database_copy.run import Progress
from tests.backup.place import fill
from tests.clients.server import kill_group
from tests.database_copy.conftest import SQLitePlace
from tests.faults.pusher import Artifact
from tests.project.starting import manage, start

Rows = psycopg.Connection[tuple[object, ...]]

STEPS = [name for name in NAMES if name.startswith("migratedb.")]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def execute(place: SQLitePlace, statement: str) -> None:
    """Change the database to copy."""
    with closing(sqlite3.connect(place.file)) as connection, connection:
        connection.execute(statement)


def status(place: SQLitePlace, target: str, failpoints: str = "") -> int:
    return place.manage("migratedb", "--to", target, failpoints=failpoints).returncode


def with_part(url: str, netloc: str) -> str:
    return urlunsplit(urlsplit(url)._replace(netloc=netloc))


def test_a_push_before_is_served_after(place: SQLitePlace, image: Artifact, target: str) -> None:
    said = place.does("migratedb", "--to", target)
    place.database_url = target
    place.start()

    assert "and compared each" in said
    assert place.pusher().pull(image, "kept")
    place.pusher().push(Artifact(image.shared, (b"pushed afterwards",)), "new")
    assert place.does("fsck", "--deep") == "no problems\n"


def test_the_source_stays_as_it_is(place: SQLitePlace, image: Artifact, target: str) -> None:
    before = digest(place.file)

    place.does("migratedb", "--to", target)

    assert digest(place.file) == before


def test_commits_in_the_log_of_a_killed_server_are_copied(place: SQLitePlace, target: str, database: Rows) -> None:
    place.start()
    fill(place)
    assert place.process is not None
    kill_group(place.process.pid)

    place.does("migratedb", "--to", target)

    assert database.execute("SELECT count(*) FROM distribution_blob").fetchone() == (3,)


def test_a_key_of_a_deleted_row_is_not_given_out_again(
    place: SQLitePlace, image: Artifact, target: str, database: Rows
) -> None:
    execute(place, "INSERT INTO auth_group (id, name) VALUES (1000, 'gone')")
    execute(place, "DELETE FROM auth_group WHERE id = 1000")

    place.does("migratedb", "--to", target)

    assert database.execute("INSERT INTO auth_group (name) VALUES ('new') RETURNING id").fetchone() == (1001,)


@pytest.mark.parametrize("step", STEPS)
def test_a_copy_killed_at_any_step_starts_over(
    place: SQLitePlace, image: Artifact, target: str, database: Rows, step: str
) -> None:
    killed = status(place, target, f"{step}=kill")
    refused = start_on(place, target)
    place.does("migratedb", "--to", target)

    (blobs,) = database.execute("SELECT count(*) FROM distribution_blob").fetchone() or ()
    assert killed == -9
    assert "an unfinished copy of another database; run `manage.py migratedb` again" in refused
    assert blobs == 3


def start_on(place: SQLitePlace, target: str) -> str:
    """Start a server on the target, which is expected to refuse, and return what it says."""
    folder = place.folder.parent / "other"
    folder.mkdir(exist_ok=True)
    named = place.configuration() | {"database": {"url": target}}
    (folder / "config.yaml").write_text(yaml.safe_dump(named))
    ended = start(folder)
    assert ended.returncode == 1
    return ended.stderr


def test_a_command_that_writes_refuses_an_unfinished_copy(place: SQLitePlace, image: Artifact, target: str) -> None:
    status(place, target, "migratedb.after_batch=kill")
    (place.folder / "config.yaml").write_text(yaml.safe_dump(place.configuration() | {"database": {"url": target}}))

    assert "an unfinished copy" in place.refuses("gc")


def test_a_target_with_tables_is_refused_and_stays(place: SQLitePlace, target: str, database: Rows) -> None:
    database.execute("CREATE TABLE theirs (n integer)")

    said = place.refuses("migratedb", "--to", target)

    assert "this database has tables already, and nothing in it is overwritten" in said
    assert database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


def test_a_finished_copy_is_not_overwritten(place: SQLitePlace, target: str) -> None:
    place.does("migratedb", "--to", target)

    assert "has tables already" in place.refuses("migratedb", "--to", target)


def test_a_running_server_is_refused(place: SQLitePlace, target: str) -> None:
    place.start()

    ended = place.manage("migratedb", "--to", target)

    assert ended.returncode == 3
    assert "Stop the server first" in ended.stdout


def test_a_database_that_another_process_has_open_is_refused(place: SQLitePlace, target: str) -> None:
    with closing(sqlite3.connect(place.file)) as other:
        other.execute("SELECT count(*) FROM django_migrations").fetchone()

        ended = place.manage("migratedb", "--to", target)

    assert ended.returncode == 3
    assert "a server or command is using this database; stop it" in ended.stdout


def test_a_database_that_a_start_is_migrating_is_refused(place: SQLitePlace, target: str, database: Rows) -> None:
    database.execute("SELECT pg_advisory_lock(%s)", [START_LOCK])

    ended = place.manage("migratedb", "--to", target)

    assert ended.returncode == 3
    assert "a server is starting on this database, or another copy into it is running" in ended.stdout


@pytest.mark.parametrize(
    ("netloc", "reason"),
    [
        ("nobody@{place}", 'role "nobody" does not exist'),
        ("registry@127.0.0.1:1", "Connection refused"),
        ("registry@nowhere.invalid", "nowhere.invalid"),
    ],
)
def test_a_target_that_does_not_answer_is_named(place: SQLitePlace, target: str, netloc: str, reason: str) -> None:
    url = with_part(target, netloc.format(place=urlsplit(target).netloc.rpartition("@")[2]))

    said = place.refuses("migratedb", "--to", url)

    assert reason in said
    assert "check host, port, name and password of --to" in said


@pytest.fixture
def locked_role(database: Rows) -> Iterator[str]:
    """Make a role whose password PostgreSQL asks for, unlike that of the tests."""
    (found,) = database.execute("SHOW hba_file").fetchone() or ()
    file = Path(str(found))
    before = file.read_text()
    database.execute("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'right'")
    try:
        file.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{before}")
        database.execute("SELECT pg_reload_conf()")
        yield "locked"
    finally:
        file.write_text(before)
        database.execute("SELECT pg_reload_conf()")
        database.execute("DROP ROLE locked")


def test_a_wrong_password_is_named(place: SQLitePlace, target: str, locked_role: str) -> None:
    address = urlsplit(target).netloc.rpartition("@")[2]

    said = place.refuses("migratedb", "--to", with_part(target, f"{locked_role}:wrong@{address}"))

    assert 'password authentication failed for user "locked"' in said


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise psycopg.errors.DiskFull

    monkeypatch.setattr(migratedb, "_check_source", lambda: None)
    monkeypatch.setattr(migratedb, "copy", full)

    with pytest.raises(CommandError, match="its disk is full; make room, and run this again: it starts over"):
        call_command("migratedb", "--to", "postgresql://localhost/registry")


def test_progress_has_rows_rate_and_time_left() -> None:
    progress = Progress(total=1000)
    progress.begin("copying")
    progress.done, progress.step_began_at = 250, time.monotonic() - 10

    assert re.fullmatch(r"copying \[#{7}\.{23}\] 25%, 250 of 1,000 rows, 2[45] rows/s, 30s left", progress.so_far())


def test_a_password_is_never_printed(place: SQLitePlace, target: str) -> None:
    said = place.refuses("migratedb", "--to", with_part(target, "registry:hunter2@127.0.0.1:1"))

    assert "hunter2" not in said


@pytest.mark.parametrize("url", ["sqlite:////tmp/x", "postgresql://host/", "nonsense", "postgresql://host:port/x"])
def test_a_url_that_is_not_of_postgresql_is_refused(place: SQLitePlace, url: str) -> None:
    assert "--to: expected a URL as postgresql://" in place.refuses("migratedb", "--to", url)


def test_a_registry_on_postgresql_is_refused(target: str, tmp_path: Path) -> None:
    ended = manage(tmp_path, "migratedb", "--to", target, more={"REGISTRY_DATABASE_URL": target})

    assert ended.returncode == 1
    assert "the registry uses PostgreSQL already" in ended.stderr


def test_a_missing_source_is_refused(place: SQLitePlace, target: str) -> None:
    place.file.unlink()

    said = place.refuses("migratedb", "--to", target)

    assert "not a database of the registry" in said or "no such database" in said


def test_an_older_source_is_refused(place: SQLitePlace, target: str, database: Rows) -> None:
    execute(place, "DELETE FROM django_migrations WHERE app = 'gc' AND name = '0005_backup'")

    assert "of an older version of the registry (gc.0005_backup is not applied)" in place.refuses(
        "migratedb", "--to", target
    )
    assert database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_newer_source_is_refused(place: SQLitePlace, target: str) -> None:
    execute(place, "INSERT INTO django_migrations (app, name, applied) VALUES ('gc', '0999_later', '2026-01-01')")

    assert "newer version of the registry" in place.refuses("migratedb", "--to", target)


@pytest.mark.parametrize(
    ("value", "reason"), [("'a' || char(0)", "NUL"), (f"'{'x' * 200}'", "value too long for type character varying")]
)
def test_a_value_that_postgresql_refuses_is_named(place: SQLitePlace, target: str, value: str, reason: str) -> None:
    execute(place, f"INSERT INTO auth_group (id, name) VALUES (7, {value})")

    said = place.refuses("migratedb", "--to", target)

    assert "table auth_group, batch from id 7 to 7: PostgreSQL refuses a value" in said
    assert reason in said


def test_a_target_that_changes_meanwhile_is_noticed(place: SQLitePlace, target: str, database: Rows) -> None:
    execute(place, "INSERT INTO auth_group (id, name) VALUES (7, 'staff')")
    database.execute(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'other'; RETURN NEW; END $$"
    )
    # The trigger needs the table: stop after the tables are made, and go on from there.
    status(place, target, "migratedb.after_tables=kill")
    database.execute("CREATE TRIGGER spoil BEFORE INSERT ON auth_group FOR EACH ROW EXECUTE FUNCTION spoil()")

    said = place.refuses("migratedb", "--to", target)

    assert "table auth_group, id 7: not as in" in said
