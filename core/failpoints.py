"""Failpoints: named steps of a push, a collection or a backup, at which a test kills, delays or fails the process.

    REG_FAILPOINTS="upload.after_fsync=kill; upload.write=error:EIO@2; collect.before_link_commit=sleep:5"

The variable is read once, at the start of the process; without it a failpoint does nothing. Each entry is
`name=action`, with `@N` only at the N-th call:

    kill            the process ends at once, as by kill -9 or a power cut
    stop            the process stops, as by kill -STOP, until kill -CONT
    sleep:SECONDS   the thread sleeps
    error:NAME      the step raises OSError with this errno, as a failing disk does
"""

import errno
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

logger = logging.getLogger(__name__)

VARIABLE = "REG_FAILPOINTS"

NAMES = {
    "upload.before_start": "the session does not exist yet",
    "upload.after_start": "the session is committed, its client does not know it yet",
    "upload.before_take_over_commit": "the session is taken over from a writer that may be dead, not committed",
    "upload.after_claim": "the session is claimed and names the object of its next bytes, none of them written",
    "upload.after_truncate": "the bytes of an interrupted request are truncated, none are appended yet",
    "upload.write": "the next piece of an object is about to be written",
    "upload.after_write": "a piece of an object is written, more may follow",
    "upload.fsync": "the whole object is written, none of it durably",
    "upload.after_fsync": "the object's bytes are durable, its name in the folder may not be",
    "upload.after_folder_fsync": "the object's new bytes are durable, no row counts them",
    "upload.after_cut_back": "the bytes of a refused request are truncated, its session is still claimed",
    "upload.after_short_body": "the object of a small blob is durable, and no request has claimed its session",
    "upload.before_abandon": "a request has failed, its session is still claimed and names the spoiled object",
    "upload.before_count_commit": "the session's offset is advanced, not committed",
    "upload.after_count_commit": "the session has its next segment, its client does not know it yet",
    "upload.after_assembly_claim": "the session names the object to which its segments are copied",
    "upload.after_assembly": "the segments are copied, durable in one object",
    "upload.before_publish_commit": "the blob is linked and the session removed, not committed",
    "upload.after_publish_commit": "the blob is published, its client does not know it yet",
    "upload.before_cancel_commit": "the session is removed, not committed",
    "upload.after_cancel_commit": "the session is removed, its client does not know it yet",
    "multipart.after_create": "S3 has a multipart upload, none of its parts",
    "multipart.after_part": "S3 has a part, more may follow",
    "multipart.before_complete": "S3 has all parts, and no object that they make",
    "multipart.after_complete": "S3 has the object, no row counts its bytes",
    "mount.before_commit": "the blob of another repository is linked, not committed",
    "mount.after_commit": "the blob is mounted, its client does not know it yet",
    "blob.before_delete_commit": "the link, and with the last one the blob, is removed, not committed",
    "blob.after_delete_commit": "the link is removed, its client does not know it yet",
    "manifest.before_put_commit": "the manifest, its references and its tags are written, not committed",
    "manifest.after_put_commit": "the manifest is committed, its client does not know it yet",
    "manifest.before_delete_commit": "the manifest and its tags are removed, not committed",
    "manifest.after_delete_commit": "the manifest is removed, its client does not know it yet",
    "tag.before_delete_commit": "the tag is removed, not committed",
    "tag.after_delete_commit": "the tag is removed, its client does not know it yet",
    "repository.before_hide_commit": "the deleted repository has another name, not committed",
    "repository.after_hide_commit": "the deleted repository is hidden, its contents still exist",
    "repository.before_step_commit": "a part of a deleted repository is removed, not committed",
    "repository.after_step_commit": "a part of a deleted repository is removed, more may be left",
    "collect.after_begin": "the row of the run is committed, nothing was removed",
    "collect.before_manifest_commit": "a manifest is collected, not committed",
    "collect.after_manifest_commit": "a manifest is collected, more may be due",
    "collect.before_link_commit": "a link, and with the last one the blob, is collected, not committed",
    "collect.after_link_commit": "a link is collected, more may be due",
    "collect.before_expire_commit": "an expired session is removed, not committed",
    "collect.after_expire_commit": "an expired session is removed, more may be due",
    "collect.before_repository_commit": "the row of an empty repository is removed, not committed",
    "collect.after_repository_commit": "the row of an empty repository is removed, more may be empty",
    "collect.before_end": "everything is collected, the row of the run is not updated",
    "trash.before_delete": "an object in the trash is about to be deleted",
    "trash.after_delete": "the object is deleted, its row is not",
    "trash.after_row": "the object and its row are removed, more may be due",
    "webhook.after_response": "a receiver has taken an event, no row says so",
    "webhook.after_record": "the row of an event says that it is delivered, the next one is not sent yet",
    "backup.after_database": "the database is copied, none of its objects is",
    "backup.after_object": "an object is in the backup, more may be missing",
    "backup.before_manifest": "everything is in the backup, but the previous one is still valid",
    "migratedb.after_mark": "the target is marked as an unfinished copy, and has no tables",
    "migratedb.after_tables": "the target has tables, and the rows that migrations make",
    "migratedb.after_batch": "some rows are committed in the target, more may be missing",
    "migratedb.before_finish": "all rows are in the target, which is still marked as unfinished",
    "migratestorage.after_mark": "the target is marked as an unfinished copy, and has no new objects",
    "migratestorage.after_object": "an object is in the target, more may be missing",
    "migratestorage.before_complete": "all objects are in the target, which is still marked as unfinished",
    "import.after_trash": "the new objects of a batch are named in the trash, none of them is there",
    "import.after_object": "an object of a batch is there, more may be missing",
    "import.after_objects": "all objects of a batch are durable, no row but those of the trash names them",
    "import.before_commit": "the rows of a batch are written, not committed",
    "import.after_commit": "a batch is committed, more may be missing",
    "export.after_blob": "a blob is exported, more may be missing",
    "export.after_repository": "a repository is exported, more may be missing",
    "import.after_repository": "a repository is imported, more may be missing",
    "start.after_new_id": "the registry has a new id, the copy that it starts on has not",
    "backup.after_manifest": "the backup is valid, objects that only the previous one names still exist",
}


class FailpointError(Exception):
    """REG_FAILPOINTS names an unknown failpoint or action."""


@dataclass(frozen=True, slots=True)
class _Armed:
    """The action of a failpoint, at its call number `only` or, when that is None, at each."""

    act: Callable[[], None]
    only: int | None
    calls: Iterator[int] = field(default_factory=lambda: count(1))


_armed: dict[str, _Armed] = {}


def failpoint(name: str) -> None:
    """Run the action that REG_FAILPOINTS has for this step. Raises OSError for the action `error`."""
    if _armed and name in _armed:
        armed = _armed[name]
        if next(armed.calls) == armed.only or armed.only is None:
            armed.act()


def arm(text: str) -> None:
    """Replace all armed failpoints by those of `text`, in the syntax of REG_FAILPOINTS. Raises FailpointError."""
    entries = [entry.strip() for entry in text.split(";")]
    armed = dict(_parse(entry) for entry in entries if entry)
    _armed.clear()
    _armed.update(armed)
    if armed:
        logger.warning("failpoints are set: this process will break on purpose", extra={"failpoints": text})


def arm_from_environment() -> None:
    """Arm the failpoints of the environment variable. Raises FailpointError."""
    arm(os.environ.get(VARIABLE, ""))


def _parse(entry: str) -> tuple[str, _Armed]:
    name, _, rest = (part.strip() for part in entry.partition("="))
    if name not in NAMES:
        raise FailpointError(f"{VARIABLE}: {name!r} is no failpoint; there are {', '.join(NAMES)}")
    action, at, number = rest.partition("@")
    if at and not (number.isdecimal() and int(number)):
        raise FailpointError(f"{VARIABLE}: {entry!r} has {number!r} after the @ instead of a number from 1 up")
    return name, _Armed(_action(entry, action), int(number) if at else None)


def _action(entry: str, action: str) -> Callable[[], None]:
    kind, _, argument = action.partition(":")
    if action == "kill":
        return _kill
    if action == "stop":
        return _stop
    if kind == "sleep" and _is_duration(argument):
        return partial(time.sleep, float(argument))
    if kind == "error" and argument in errno.errorcode.values():
        return partial(_fail, getattr(errno, argument))
    raise FailpointError(f"{VARIABLE}: {entry!r} asks for none of kill, stop, sleep:SECONDS, error:NAME (as error:EIO)")


def _is_duration(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) >= 0
    except ValueError:
        return False


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    # A signal to the process may reach another thread first, and this one would pass the step meanwhile.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _fail(number: int) -> None:
    raise OSError(number, os.strerror(number))
