"""A copy of a SQLite database at one moment, while others write to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection

from backup import files, listing, passing
from backup.errors import BackupError
from backup.files import Watch
from backup.listing import Totals
from core.private_files import sync_folder

PAGES = 2048
_WAIT_SECONDS = 20


def size() -> int:
    """Return the bytes of the database. Raises OSError."""
    return _path().stat().st_size


def dump(target: Path, listed: Path, watch: Watch) -> Totals:
    """Copy the database to `target`, and list in `listed` the objects that the copy names.

    Raises BackupError, sqlite3.Error, OSError, and what `watch` raises after each piece.
    """
    with _snapshot() as source, closing(sqlite3.connect(target)) as copy:
        # Made durable below, once it is whole.
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=PAGES, progress=lambda *_: watch())
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        _settle(copy)
        totals = listing.write(listed, copy.execute(listing.QUERY))
    files.sync(target)
    return totals


@contextmanager
def _snapshot() -> Iterator[sqlite3.Connection]:
    """Read the database as it is now: without a transaction around it, a copy starts anew whenever somebody writes."""
    uri = f"{_path().absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_WAIT_SECONDS)) as source:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield source


def _settle(copy: sqlite3.Connection) -> None:
    """Make one sound file of it, without what only the running server needs."""
    copy.execute("PRAGMA journal_mode = DELETE")
    copy.execute("BEGIN")
    passing.forget(copy.execute)
    copy.execute("COMMIT")
    (answer,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise BackupError(
            f"{_path()}: the database is damaged ({answer}). The backup made before is left as it is: restore it, "
            'or try `sqlite3 registry.sqlite3 ".recover"`'
        )


def refuse_target() -> None:
    """Raise BackupError when the file of the configuration is in use or holds rows; sqlite3.Error, OSError."""
    path = _path()
    if not path.exists():
        return
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as database:
        if _rows_in(database):
            raise BackupError(
                f"{path}: this database has rows already; remove the file (with -wal and -shm beside it), "
                "or name another database.url"
            )
        try:
            # Possible for the only connection there is; and no log is left beside the file that will replace this one.
            database.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            raise BackupError(f"{path}: a server or command is using this database; stop it first") from error


def _rows_in(database: sqlite3.Connection) -> bool:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    own = [name for name in tables if name not in passing.MADE_BY_MIGRATE and not name.startswith("sqlite_")]
    return any(database.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}")').fetchone()[0] for name in own)  # noqa: S608 - its own


def load(source: Path, watch: Watch) -> None:
    """Put the copy at `source` in the place of the database. Raises OSError, and what `watch` raises."""
    target = _path()
    arriving = target.with_name(f"{target.name}.restored")
    arriving.unlink(missing_ok=True)
    files.copy(source, arriving, watch)
    # What a file that was removed left beside it would be taken for this one's.
    for ending in ("-wal", "-shm"):
        target.with_name(f"{target.name}{ending}").unlink(missing_ok=True)
    arriving.rename(target)
    sync_folder(target.parent)


def _path() -> Path:
    return Path(connection.settings_dict["NAME"])
