"""Create a backup: a copy of the database first, then the objects that the copy names."""

import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import Error, connection

from backup import files, folder, listing, manifest, own_files, postgresql, sqlite
from backup.errors import BackupError, NoRoomError
from backup.files import Watch
from backup.listing import Totals
from backup.manifest import Manifest
from backup.transfer import BrokenObjectsError, Counts, Transfer
from collector import lease
from collector.lease import OwnLease
from collector.models import Job
from core.api.errors import RegistryError
from core.db import clock, setup
from core.db.database_fault import FULL, READ_ONLY, fault_of
from core.db.setup import where
from core.failpoints import failpoint
from core.sizes import size_text
from distribution.storage import disk_reserve
from distribution.storage.blob_store import blob_store, check_storage

DATABASE = "database"
_UNWRITABLE = (FULL, READ_ONLY)


@dataclass(slots=True)
class Backup:
    """The progress of a backup, and its result."""

    step: str = "copying the database"
    totals: Totals = field(default_factory=lambda: Totals(0, 0, ""))
    counts: Counts = field(default_factory=Counts)
    removed: int = 0

    def so_far(self) -> str:
        """Return the progress in one line."""
        return f"{self.step}{self.counts.bar(self.totals.objects)}"


def create(path: Path, backup: Backup, watch: Watch) -> Manifest:
    """Back up into the folder `path`, count it in `backup`, and return the complete backup.

    `watch` is called often; what it raises ends the backup, and the previous one stays. Raises BackupError, also if the
    registry's disk has too little space; LeaseTakenError if another backup is running; StopError if another process
    took over; and what database and storage raise.
    """
    storage = blob_store().folder()
    sources = {settings.REGISTRY.server.data_directory, *own_files.folders(), *([] if storage is None else [storage])}
    folder.refuse_overlap(path, sources)
    check_storage()
    with folder.locked(path), ExitStack() as stack:
        watch = _keeping_free(path, watch)
        own_lease = _acquire_lease(path, stack)
        if own_lease is None:
            return _create(path, backup, watch)
        folder.write_token(path, own_lease.token)

        def watch_and_renew() -> None:
            own_lease.renew()
            watch()

        return _create(path, backup, watch_and_renew)


def _acquire_lease(path: Path, stack: ExitStack) -> OwnLease | None:
    """Prevent other backups and the deletion of objects; None means that the database can't be written.

    Such a database also prevents deletions: an object of the snapshot would need a row in the trash first, and then
    stay for `trash.DELAY`. If an object is deleted all the same, its copy fails, and so does the backup.
    """
    try:
        # This process has the lock, so the process with this token is dead: do not wait until its lease expires.
        if token := folder.token(path):
            lease.release_of_dead(Job.BACKUP, token)
        return stack.enter_context(lease.acquire(Job.BACKUP))
    except (Error, RegistryError) as error:
        cause = error if isinstance(error, Error) else error.__cause__
        if isinstance(cause, Error) and fault_of(cause) in _UNWRITABLE:
            return None
        raise


def _create(path: Path, backup: Backup, watch: Watch) -> Manifest:
    before = manifest.read(path)
    if before is not None and before.registry != where():
        # Otherwise the objects of the other registry, which the new state does not name, would be removed.
        raise BackupError(
            f"{path}: holds a backup of another database, {before.registry}; name another folder, "
            "or remove this one if that backup is of no use any more"
        )
    folder.remove_other_states(path, before.state if before else None)
    state = folder.new_state(path)
    try:
        made = _fill(path, state, backup, watch)
        failpoint("backup.before_manifest")
        made.write(path)
    except BaseException as error:
        shutil.rmtree(state, ignore_errors=True)
        if isinstance(error, NoRoomError):
            # Below `storage.min_free` uploads are refused, so the backup frees what it took.
            folder.remove_objects(path, before.state if before else None)
        raise
    failpoint("backup.after_manifest")
    backup.step = "removing unnamed objects"
    folder.remove_other_states(path, made.state)
    if made.has_objects:
        backup.removed = folder.remove_unnamed(path, made.state, watch)
    return made


def _fill(path: Path, state: Path, backup: Backup, watch: Watch) -> Manifest:
    made_at, copy = clock.now(), state / DATABASE
    # Private from its first byte on.
    copy.touch(0o600)
    dump = sqlite.dump if connection.vendor == "sqlite" else postgresql.dump
    totals = backup.totals = dump(copy, state / listing.NAME, watch)
    failpoint("backup.after_database")
    own_files.back_up(state, watch)
    folder.sync_tree(state)
    storage = blob_store().folder()
    if storage is not None:
        _copy_objects(path, state, storage, backup, watch)
    backup.step = "checking the copy of the database"
    return Manifest(
        state=state.name,
        made_at=made_at.isoformat(),
        registry=where(),
        storage=settings.REGISTRY.storage.backend,
        database=connection.vendor,
        database_bytes=copy.stat().st_size,
        database_sha256=files.digest(copy, watch),
        migrations=sorted(setup.applied_migrations()),
        **asdict(totals),
    )


def _copy_objects(path: Path, state: Path, storage: Path, backup: Backup, watch: Watch) -> None:
    backup.step = "objects"
    # Of the folder's disk, if it is the registry's own.
    min_free = disk_reserve.space_of(path).low_mark if disk_reserve.is_on_own_disk(path) else 0
    transfer = Transfer(state / listing.NAME, storage, path, backup.counts, may_link=True, min_free=min_free)
    try:
        transfer.run(watch)
    except BrokenObjectsError as error:
        raise BackupError(
            f"{error}\nRun `manage.py fsck --repair`, after which a push heals them, and make the backup again."
        ) from error


def _keeping_free(path: Path, watch: Watch) -> Watch:
    """Return a `watch` that ends the backup when its disk has less than `storage.min_free` left."""
    if not disk_reserve.is_on_own_disk(path):
        return watch

    def watch_all() -> None:
        watch()
        found = disk_reserve.space_of(path)
        if found.is_low:
            raise NoRoomError(
                f"{path}: on the disk of the registry, which has {size_text(found.free)} free, less than the "
                f"{size_text(found.low_mark)} that it keeps (storage.min_free); what this backup had copied is removed"
                "; name a folder on another disk, or make room: docs/troubleshooting.md says how"
            )

    return watch_all
