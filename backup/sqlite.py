"""Copy a SQLite database in one snapshot while others write; put a copy in its place."""

import sqlite3
from contextlib import closing
from pathlib import Path

from django.db import connection

from backup import files, listing, transient_rows
from backup.errors import BackupError
from backup.files import Watch
from backup.listing import Totals
from core.private_files import sync_folder

PAGES = 2048
_WAIT_SECONDS = 20


def dump(target: Path, listed: Path, watch: Watch) -> Totals:
    """Copy the database to `target`, and write the list of the copy's objects to `listed`.

    Raises BackupError, sqlite3.Error, OSError, and what `watch` raises after each chunk.
    """
    uri = f"{_path().absolute().as_uri()}?mode=rw"
    with (
        closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_WAIT_SECONDS)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        # A read transaction: without one, each write of another connection restarts the copy.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        # `files.sync` below makes the complete copy durable.
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=PAGES, progress=lambda *_: watch())
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        _finish(copy)
        totals = listing.write(listed, copy.execute(listing.QUERY))
    files.sync(target)
    return totals


def _finish(copy: sqlite3.Connection) -> None:
    """Make the copy a single file without transient rows, and check it."""
    copy.execute("PRAGMA journal_mode = DELETE")
    copy.execute("BEGIN")
    transient_rows.delete(copy.execute)
    copy.execute("COMMIT")
    (answer,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise BackupError(
            f"{_path()}: the database is damaged ({answer}). The backup made before is left as it is: restore it, "
            'or try `sqlite3 registry.sqlite3 ".recover"`'
        )


def refuse_target() -> None:
    """Raise BackupError if the configured file is in use or has rows. Raises sqlite3.Error, OSError."""
    path = _path()
    if not path.exists():
        return
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        own = [name for name in tables - transient_rows.FILLED_BY_MIGRATE if not name.startswith("sqlite_")]
        if any(database.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}")').fetchone()[0] for name in own):  # noqa: S608 - its own
            raise BackupError(
                f"{path}: this database has rows already; remove the file (with -wal and -shm beside it), "
                "or name another database.url"
            )
        try:
            # Succeeds only without other connections, and leaves no -wal beside the file that replaces this one.
            database.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            raise BackupError(f"{path}: a server or command is using this database; stop it first") from error


def load(source: Path, watch: Watch) -> None:
    """Replace the database with the copy at `source`. Raises OSError, and what `watch` raises."""
    target = _path()
    restored = target.with_name(f"{target.name}.restored")
    restored.unlink(missing_ok=True)
    files.copy(source, restored, watch)
    # SQLite would apply the -wal of a removed database to this one.
    for ending in ("-wal", "-shm"):
        target.with_name(f"{target.name}{ending}").unlink(missing_ok=True)
    restored.rename(target)
    sync_folder(target.parent)


def _path() -> Path:
    return Path(connection.settings_dict["NAME"])
