"""The schema of the database against the one of this version, by migrations as "app.name"."""

from collections.abc import Iterable

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder


def applied() -> set[str]:
    """Return the migrations that the database has seen, none for one without tables."""
    return {f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()}


def newer(migrations: Iterable[str]) -> list[str]:
    """Return those of `migrations` that only a newer version knows, in order."""
    files = MigrationLoader(None).disk_migrations
    known = {f"{app}.{name}" for app, name in files}
    known.update(f"{app}.{name}" for migration in files.values() for app, name in migration.replaces)
    return sorted(set(migrations) - known)
