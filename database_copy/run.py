"""The steps of a copy: check both sides, make the tables, copy every row, compare every row, finish."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from pathlib import Path

import psycopg
from django.db.migrations.loader import MigrationLoader

from core.db.setup import newer_migrations
from core.failpoints import failpoint
from core.progress import bar
from database_copy import source, tables, target
from database_copy.errors import CopyError
from database_copy.source import Source
from database_copy.tables import Table
from database_copy.target import Target

Watch = Callable[[], None]

# PostgreSQL remembers each new row until its foreign keys are checked at the commit.
BATCH = 20_000
_WATCHED = 500


@dataclass(slots=True)
class Progress:
    """The step, its rows out of `total`, and when it began."""

    step: str = "checking both databases"
    done: int = 0
    total: int = 0
    tables: int = 0
    step_began_at: float = field(default_factory=time.monotonic)
    began_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.monotonic() - self.began_at

    def begin(self, step: str) -> None:
        """Count from zero."""
        self.step, self.done, self.step_began_at = step, 0, time.monotonic()

    def so_far(self) -> str:
        """Return the progress in one line."""
        seconds = time.monotonic() - self.step_began_at
        if not self.total or not self.done or not seconds:
            return self.step
        rate = self.done / seconds
        left = (self.total - self.done) / rate
        return f"{self.step} {bar(self.done, self.total)} rows, {rate:,.0f} rows/s, {_time(left)} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def copy(path: Path, url: str, progress: Progress, watch: Watch) -> None:
    """Copy the SQLite database at `path` into the PostgreSQL at `url`, and count it in `progress`.

    `watch` is called often; what it raises ends the copy, and the next one starts over. Raises CopyError, and what the
    databases raise.
    """
    with source.locked(path) as rows, target.connected(url) as database:
        _check_version(rows)
        database.lock()
        if since := database.unfinished_since():
            progress.begin(f"starting over the unfinished copy of {since:%Y-%m-%d %H:%M} UTC")
            watch()
        database.mark(str(path))
        failpoint("migratedb.after_mark")
        progress.begin("making the tables")
        target.make_tables(url)
        failpoint("migratedb.after_tables")
        all_tables = tables.in_order()
        progress.total, progress.tables = sum(map(rows.count, all_tables)), len(all_tables)
        database.empty(all_tables)
        progress.begin("copying")
        for table in all_tables:
            _copy_table(rows, database, table, progress, watch)
        progress.begin("comparing")
        for table in all_tables:
            _compare_table(rows, database, table, progress, watch)
        failpoint("migratedb.before_finish")
        database.finish({table: rows.last_number(table) for table in all_tables if table.numbered})


def _check_version(rows: Source) -> None:
    found = rows.migrations()
    if newer := newer_migrations(found):
        raise CopyError(
            f"{rows.path}: of a newer version of the registry ({newer[0]}); run the command of that version"
        )
    loader = MigrationLoader(None)
    missing = sorted({f"{app}.{name}" for app, name in loader.disk_migrations} - found)
    if missing:
        raise CopyError(
            f"{rows.path}: of an older version of the registry ({missing[0]} is not applied); "
            "run `manage.py migrate`, or start the server on it once, and stop it"
        )


def _copy_table(rows: Source, database: Target, table: Table, progress: Progress, watch: Watch) -> None:
    watch()
    remaining = rows.rows(table, is_json_parsed=False)
    key = table.columns.index(table.key)
    for first in remaining:
        row = first
        try:
            with database.copied_into(table) as copying:
                for row in chain([first], islice(remaining, BATCH - 1)):
                    copying.write_row(row)
                    _count(progress, watch)
        except psycopg.DataError as error:
            place = error.diag.context or f"{table.key} {row[key]}"
            raise CopyError(
                f"{rows.path}: table {table.name}, batch from {table.key} {first[key]} to {row[key]}: PostgreSQL "
                f"refuses a value ({' '.join(str(error.diag.message_primary or error).split())}; "
                f"{' '.join(place.split())}); correct or delete that row in SQLite, and run this again"
            ) from error
        failpoint("migratedb.after_batch")


def _compare_table(rows: Source, database: Target, table: Table, progress: Progress, watch: Watch) -> None:
    """Compare all columns of all rows as Python values. Raises CopyError for the first difference."""
    watch()
    expected = rows.rows(table, is_json_parsed=True)
    for row, found in zip_longest(expected, database.rows(table)):
        if row is None or found is None or tuple(row) != found:
            key = table.columns.index(table.key)
            name = (row or found)[key]
            raise CopyError(
                f"{database.where}: table {table.name}, {table.key} {name}: not as in {rows.path} after the copy; "
                "was the database used meanwhile? Run this again, it starts over"
            )
        _count(progress, watch)


def _count(progress: Progress, watch: Watch) -> None:
    progress.done += 1
    if progress.done % _WATCHED == 0:
        watch()
