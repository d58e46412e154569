"""The folder of a backup: its checks, its lock, its states and objects."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from backup import files, listing, manifest
from backup.errors import BackupError, BusyFolderError
from backup.files import Watch
from core.lock_file import open_lock_file
from core.private_files import sync_folder

LOCK = "backup.lock"
OBJECTS = "objects"
_STATE = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
# mkfs makes it at the root of a file system.
_IGNORED = {"lost+found"}


def refuse_overlap(folder: Path, others: Iterable[Path]) -> None:
    """Raise BackupError if `folder` is, contains or is inside one of `others`; symbolic links are followed."""
    inner, outer = folder.resolve(), {other: other.resolve() for other in others}
    for other, path in outer.items():
        if _is_within(inner, path):
            raise BackupError(f"{folder}: within {other}, which belongs to the registry; name a folder outside of it")
    for other, path in outer.items():
        if _is_within(path, inner):
            raise BackupError(f"{folder}: holds {other}, which belongs to the registry; name a folder of its own")


def _is_within(inner: Path, outer: Path) -> bool:
    """Tell whether `outer` is `inner` or one of its parents, also under another mount."""
    return any(
        path == outer or (path.exists() and outer.exists() and path.samefile(outer)) for path in (inner, *inner.parents)
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder if it is missing, and lock it exclusively.

    Raises BackupError if it has other files or can't be written; BusyFolderError if another backup uses it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir()} - _IGNORED
        if found and not found & {LOCK, manifest.NAME}:
            raise BackupError(
                f"{folder}: holds {min(found)}, which is no backup's; name an empty folder, or one that does not exist"
            )
        folder.chmod(0o700)
        descriptor = open_lock_file(folder / LOCK)
    except OSError as error:
        raise BackupError(
            f"{folder}: can't be written ({(error.strerror or str(error)).lower()}); "
            f"name a folder that user id {os.geteuid()} may write"
        ) from error
    try:
        _lock(folder, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_shared(folder: Path) -> Iterator[None]:
    """Lock a folder for reading, also on a read-only disk. Raises BackupError, OSError."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        # A copy of the folder without its lock file: a backup would make it first.
        yield
        return
    try:
        _lock(folder, descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, descriptor: int, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BusyFolderError(f"{folder}: another backup or restore is using it; wait until it has ended") from error


def token(folder: Path) -> UUID | None:
    """Return the lease token of the last backup into this folder; None means that there is none."""
    try:
        return UUID((folder / LOCK).read_text())
    except ValueError:
        return None


def write_token(folder: Path, token: UUID) -> None:
    """Record the token of the lease. Raises OSError."""
    with os.fdopen(open_lock_file(folder / LOCK), "r+") as file:
        file.truncate()
        file.write(str(token))


def new_state(folder: Path) -> Path:
    """Make the folder of a new state. Raises OSError."""
    state = folder / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    state.mkdir(mode=0o700)
    return state


def remove_other_states(folder: Path, kept: str | None) -> None:
    """Remove every state but `kept`: old ones, and those of interrupted runs. Raises OSError."""
    for path in folder.iterdir():
        if _STATE.fullmatch(path.name) and path.name != kept:
            shutil.rmtree(path)


def remove_unnamed(folder: Path, state: str, watch: Watch) -> int:
    """Remove the objects that are not in the list of `state`; return how many. Raises OSError."""
    removed = 0
    named = listing.by_folder(folder / state / listing.NAME)
    current = next(named, None)
    for place in sorted(path for path in (folder / OBJECTS).glob("*") if path.is_dir()):
        relative = f"{OBJECTS}/{place.name}"
        while current is not None and current[0] < relative:
            current = next(named, None)
        names = {stored.name for stored in current[1]} if current is not None and current[0] == relative else set()
        unnamed = files.sizes(place).keys() - names
        for name in unnamed:
            (place / name).unlink()
        removed += len(unnamed)
        watch()
    return removed


def remove_objects(folder: Path, kept: str | None) -> None:
    """Remove the objects that are not in the list of the state `kept`; None means all. Raises OSError."""
    if kept is None:
        shutil.rmtree(folder / OBJECTS, ignore_errors=True)
    elif (folder / kept / listing.NAME).exists():
        remove_unnamed(folder, kept, lambda: None)


def complete(folder: Path) -> tuple[manifest.Manifest, Path]:
    """Return the complete backup in `folder`, and the folder of its state. Raises BackupError, OSError."""
    if not folder.is_dir():
        raise BackupError(f"{folder}: no such folder; name one that `manage.py backup` filled")
    found = manifest.read(folder)
    if found is None:
        raise BackupError(f"{folder}: holds no complete backup (it has no {manifest.NAME}); name one that does")
    state = folder / found.state
    if not _STATE.fullmatch(found.state) or not state.is_dir():
        raise BackupError(f"{state}: missing, but {manifest.NAME} names it; take another copy of this backup")
    return found, state


def sync_tree(folder: Path) -> None:
    """Flush every folder below `folder` to the disk. Raises OSError."""
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))
    sync_folder(folder.parent)
