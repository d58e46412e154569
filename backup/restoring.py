"""Restore a backup into an empty place: check it, then objects, keys, and the database last."""

from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from accounts import permissions_version
from backup import files, folder, listing, own_files, passing, postgresql, sqlite
from backup.errors import BackupError
from backup.files import Watch
from backup.making import DATABASE
from backup.manifest import Manifest
from backup.transfer import Counts, Transfer, fault_of
from core.db import schema, setup
from core.start_error import StartError
from distribution.storage.blob_store import blob_store
from server import listener
from startup import folders

_SHOWN = 5


@dataclass(slots=True)
class Restore:
    """How far a restore is, and in the end what it did."""

    step: str = "checking the backup"
    objects: int = 0
    counts: Counts = field(default_factory=Counts)
    has_put_back_keys: bool = False

    def so_far(self) -> str:
        """Return in one line how far it is."""
        return f"{self.step}{self.counts.bar(self.objects)}"


def restore(path: Path, done: Restore, watch: Watch, *, is_deep: bool, may_link: bool) -> Manifest:
    """Restore the backup in `path` to where the configuration says, counted in `done`, and return what it was.

    `is_deep` reads every object first and compares its digest; `may_link` shares the objects with the backup.
    `watch` is called all the time, and what it raises ends the restore. Raises BackupError, StartError, and what
    database and file system raise; until all is checked nothing was changed.
    """
    found, state = folder.complete(path)
    done.objects = found.objects if found.has_objects else 0
    with folder.unchanged(path):
        _refuse_unlike(found)
        _check(path, found, state, watch, is_deep=is_deep)
        _refuse_target(path)
        if found.has_objects:
            _put_back_objects(path, state, done, watch, may_link=may_link)
        done.step = "restoring keys and database"
        done.has_put_back_keys = own_files.put_back(state, watch)
        (sqlite if connection.vendor == "sqlite" else postgresql).load(state / DATABASE, watch)
    _bring_up_to_date()
    return found


def _refuse_unlike(found: Manifest) -> None:
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
    if newer := schema.newer(found.migrations):
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
    for one in listing.read(state / listing.NAME):
        if fault := fault_of(path / one.key, one, watch if is_deep else None):
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
    """Raise BackupError or StartError unless the place of the configuration is empty and no server is at work there."""
    configuration = settings.REGISTRY
    _refuse_server()
    storage = blob_store().folder()
    folder.refuse_overlap(path, {configuration.server.data_directory, *([] if storage is None else [storage])})
    in_the_way = [] if storage is None else _objects_in(storage)
    try:
        (sqlite if connection.vendor == "sqlite" else postgresql).refuse_target()
    except BackupError as error:
        in_the_way.append(str(error))
    if in_the_way:
        raise BackupError("\n".join(in_the_way))
    # The last check, since it makes what is missing.
    folders.check(configuration)


def _refuse_server() -> None:
    server = settings.REGISTRY.server
    try:
        listener.check_free([(server.host or "0.0.0.0", server.port)], settings.REGISTRY)  # noqa: S104 - as `:5000` says
    except StartError as error:
        raise BackupError(f"Stop the server first, if it is the one to restore. {error}") from error


def _objects_in(storage: Path) -> list[str]:
    """Return what to say about the objects that are there already, if any."""
    used = next(storage.glob("objects/*/*"), None)
    if used is None:
        return []
    return [
        f"storage: {storage} has objects already, as {used.relative_to(storage)}; "
        "name an empty storage.filesystem.rootdirectory, or remove the folder `objects` there"
    ]


def _put_back_objects(path: Path, state: Path, done: Restore, watch: Watch, *, may_link: bool) -> None:
    done.step = "objects"
    store = blob_store()
    store.prepare()
    Transfer(state / listing.NAME, path, store.folder() or path, done.counts, may_link=may_link).run(watch)


def _bring_up_to_date() -> None:
    """Bring the schema to this version, and forget what meant something to the server that was backed up."""
    with setup.prepared():
        setup.migrate()
        with transaction.atomic(), connection.cursor() as cursor:
            passing.forget(cursor.execute)
        # Some process may remember rights for the value that has come back.
        permissions_version.renew()
