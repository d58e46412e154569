"""Make a backup: the database first, then the objects that this copy of it names."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from core.db import clock, schema
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
    """How far a backup is, and in the end what it did."""

    step: str = "copying the database"
    totals: Totals = field(default_factory=lambda: Totals(0, 0, ""))
    counts: Counts = field(default_factory=Counts)
    removed: int = 0

    def so_far(self) -> str:
        """Return in one line how far it is."""
        return f"{self.step}{self.counts.bar(self.totals.objects)}"


def make(path: Path, backup: Backup, watch: Watch) -> Manifest:
    """Back up into the folder `path`, counted in `backup`, and return what is complete there.

    `watch` is called all the time; what it raises ends the backup, and the one before it is left as it is. Raises
    BackupError, also when the disk of the registry has no room for it; LeaseTakenError when another backup is made;
    StopError when another process took over; and what database and storage raise.
    """
    folder.refuse_overlap(path, _sources())
    check_storage()
    with folder.opened(path), ExitStack() as stack:
        watch = _leaving_room(path, watch)
        held = _hold(path, stack)
        if held is None:
            return _make(path, backup, watch)
        folder.write_token(path, held.token)
        return _make(path, backup, _renewing(held, watch))


def _hold(path: Path, stack: ExitStack) -> OwnLease | None:
    """Keep objects from being deleted, and other backups away; None when the database can't be written.

    Nothing can be deleted then: an object that the copy names has to be written into the trash first, and waits there
    for `trash.DELAY`. Should both come to pass meanwhile, the object is missed when it is brought: the backup fails.
    """
    try:
        # Its lock is ours: whoever wrote this token is dead, and would be waited for until its lease has run out.
        if token := folder.token(path):
            lease.release_of_dead(Job.BACKUP, token)
        return stack.enter_context(lease.acquire(Job.BACKUP))
    except (Error, RegistryError) as error:
        cause = error if isinstance(error, Error) else error.__cause__
        if isinstance(cause, Error) and fault_of(cause) in _UNWRITABLE:
            return None
        raise


def _make(path: Path, backup: Backup, watch: Watch) -> Manifest:
    before = manifest.read(path)
    _refuse_another(path, before)
    folder.remove_other_states(path, before.state if before else None)
    with _new_state(path) as state:
        try:
            made = _fill(path, state, backup, watch)
        except NoRoomError:
            # Uploads are refused meanwhile, and who makes room need not look for it here.
            folder.remove_objects(path, before.state if before else None)
            raise
        failpoint("backup.before_manifest")
        made.write(path)
    failpoint("backup.after_manifest")
    backup.step = "removing what is not named any more"
    folder.remove_other_states(path, made.state)
    if made.has_objects:
        backup.removed = folder.remove_unnamed(path, made.state, watch)
    return made


def _sources() -> set[Path]:
    storage = blob_store().folder()
    return {settings.REGISTRY.server.data_directory, *own_files.folders(), *([] if storage is None else [storage])}


def _refuse_another(path: Path, before: Manifest | None) -> None:
    """Raise BackupError when the folder is another registry's: its objects would be removed as not named any more."""
    if before is not None and before.registry != where():
        raise BackupError(
            f"{path}: holds a backup of another database, {before.registry}; name another folder, "
            "or remove this one if that backup is of no use any more"
        )


@contextmanager
def _new_state(path: Path) -> Iterator[Path]:
    """Make a state; none of it is left when the block fails."""
    state = folder.new_state(path)
    try:
        yield state
    except BaseException:
        shutil.rmtree(state, ignore_errors=True)
        raise


def _fill(path: Path, state: Path, backup: Backup, watch: Watch) -> Manifest:
    made_at, copy = clock.now(), state / DATABASE
    # Readable by nobody else from its first byte on.
    copy.touch(0o600)
    dump = sqlite.dump if connection.vendor == "sqlite" else postgresql.dump
    totals = backup.totals = dump(copy, state / listing.NAME, watch)
    failpoint("backup.after_database")
    own_files.keep(state, watch)
    folder.sync_tree(state)
    storage = blob_store().folder()
    if storage is not None:
        _bring_objects(path, state, storage, backup, watch)
    backup.step = "checking the copy of the database"
    return Manifest(
        state=state.name,
        made_at=made_at.isoformat(),
        registry=where(),
        storage=settings.REGISTRY.storage.backend,
        database=connection.vendor,
        database_bytes=copy.stat().st_size,
        database_sha256=files.digest(copy, watch),
        migrations=sorted(schema.applied()),
        **asdict(totals),
    )


def _bring_objects(path: Path, state: Path, storage: Path, backup: Backup, watch: Watch) -> None:
    backup.step = "objects"
    transfer = Transfer(state / listing.NAME, storage, path, backup.counts, may_link=True, kept=_kept(path))
    try:
        transfer.run(watch)
    except BrokenObjectsError as error:
        raise BackupError(
            f"{error}\nRun `manage.py fsck --repair`, after which a push heals them, and make the backup again."
        ) from error


def _kept(path: Path) -> int:
    """Return what the registry keeps free on the disk of the folder `path`, 0 when that is another one's."""
    return disk_reserve.space_of(path).low_mark if disk_reserve.is_on_own_disk(path) else 0


def _leaving_room(path: Path, watch: Watch) -> Watch:
    """Return a watch that ends a backup which takes the room that the registry keeps on its own disk."""
    if not disk_reserve.is_on_own_disk(path):
        return watch

    def watch_all() -> None:
        watch()
        found = disk_reserve.space_of(path)
        if found.is_low:
            raise NoRoomError(
                f"{path}: on the disk of the registry, which has {size_text(found.free)} free, less than the "
                f"{size_text(found.low_mark)} that it keeps (storage.min_free); what this backup brought is removed; "
                "name a folder on another disk, or make room: docs/troubleshooting.md says how"
            )

    return watch_all


def _renewing(held: OwnLease, watch: Watch) -> Callable[[], None]:
    def watch_all() -> None:
        held.renew()
        watch()

    return watch_all
