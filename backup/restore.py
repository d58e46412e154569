"""Restore a backup into an empty target: checks first, then objects, keys, and the database last."""

from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from accounts import permissions_version
from backup import files, folder, listing, own_files, postgresql, sqlite, transient_rows
from backup.create import DATABASE
from backup.errors import BackupError
from backup.files import Watch
from backup.manifest import Manifest
from backup.transfer import Counts, Transfer, fault_of
from core.db import setup
from core.start_error import StartError
from distribution.storage.blob_store import blob_store
from server import listener
from startup import folders

_SHOWN = 5


@dataclass(slots=True)
class Restore:
    """The progress of a restore, and its result."""

    step: str = "checking the backup"
    objects: int = 0
    counts: Counts = field(default_factory=Counts)
    has_restored_keys: bool = False

    def so_far(self) -> str:
        """Return the progress in one line."""
        return f"{self.step}{self.counts.bar(self.objects)}"


def restore(path: Path, done: Restore, watch: Watch, *, is_deep: bool, may_link: bool) -> Manifest:
    """Restore the backup in `path` to the configured database and storage, count it in `done`, and return it.

    `is_deep` first reads every object and compares its digest; `may_link` makes hard links to the objects of the
    backup. `watch` is called often, and what it raises ends the restore. Raises BackupError, StartError, and what
    database and file system raise; nothing is changed before all checks have passed.
    """
    found, state = folder.complete(path)
    done.objects = found.objects if found.has_objects else 0
    with folder.locked_shared(path):
        _check_compatible(found)
        _check(path, found, state, watch, is_deep=is_deep)
        _refuse_target(path)
        if found.has_objects:
            done.step = "objects"
            store = blob_store()
            store.prepare()
            Transfer(state / listing.NAME, path, store.folder() or path, done.counts, may_link=may_link).run(watch)
        done.step = "restoring keys and database"
        done.has_restored_keys = own_files.restore(state, watch)
        (sqlite if connection.vendor == "sqlite" else postgresql).load(state / DATABASE, watch)
    with setup.prepared():
        setup.migrate()
        with transaction.atomic(), connection.cursor() as cursor:
            transient_rows.delete(cursor.execute)
        # A running process may have cached rights under the version number that the restore brought back.
        permissions_version.renew()
    return found


def _check_compatible(found: Manifest) -> None:
    """Raise BackupError if database, storage or version differ from those of the backup."""
    backend = settings.REGISTRY.storage.backend
    if found.database != connection.vendor:
        raise BackupError(
            f"database.url: {setup.where()}: the backup is one of {found.database}, which no other database reads; "
            f"name a {found.database} database in {settings.REGISTRY.path or 'config.yaml'}"
        )
    if found.has_objects != (backend == "filesystem"):
        raise BackupError(
            f"storage: the backup is of a registry with its objects in {found.storage}, and the configuration names "
            f"{backend}; restore with storage.{found.storage}, and move the objects afterwards"
        )
    if newer := setup.newer_migrations(found.migrations):
        raise BackupError(
            f"The backup was made by a newer version of the registry ({newer[0]} is unknown here); "
            "restore it with that version"
        )


def _check(path: Path, found: Manifest, state: Path, watch: Watch, *, is_deep: bool) -> None:
    for name, expected in ((DATABASE, found.database_sha256), (listing.NAME, found.list_sha256)):
        if files.digest(state / name, watch) != expected:
            raise BackupError(f"{state / name}: damaged since the backup was made; take another copy of this backup")
    if not found.has_objects:
        return
    faults = []
    for stored in listing.read(state / listing.NAME):
        if fault := fault_of(path / stored.key, stored, watch if is_deep else None):
            faults.append(fault)
        watch()
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise BackupError(
            "\n".join(
                [*faults[:_SHOWN], *more, "The backup is damaged; take another copy of it. Nothing was restored."]
            )
        )


def _refuse_target(path: Path) -> None:
    """Raise BackupError or StartError unless database and storage are empty and no server uses them."""
    configuration = settings.REGISTRY
    server = configuration.server
    try:
        listener.check_free([(server.host or "0.0.0.0", server.port)], configuration)  # noqa: S104 - as `:5000` says
    except StartError as error:
        raise BackupError(f"Stop the server first, if it is the one to restore. {error}") from error
    storage = blob_store().folder()
    folder.refuse_overlap(path, {configuration.server.data_directory, *([] if storage is None else [storage])})
    in_the_way = []
    if storage is not None and (used := next(storage.glob("objects/*/*"), None)):
        in_the_way.append(
            f"storage: {storage} has objects already, as {used.relative_to(storage)}; "
            "name an empty storage.filesystem.rootdirectory, or remove the folder `objects` there"
        )
    try:
        (sqlite if connection.vendor == "sqlite" else postgresql).refuse_target()
    except BackupError as error:
        in_the_way.append(str(error))
    if in_the_way:
        raise BackupError("\n".join(in_the_way))
    # The last check, since it makes missing folders.
    folders.check(configuration)
