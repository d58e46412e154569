"""Detect a SQLite database older than its storage, such as a copy without the write-ahead log.

The last commits are in the log beside the file until a checkpoint. A copy without the log lacks rows of stored objects.
A crash leaves the log in place, so it is never mistaken for such a copy.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import nlargest
from itertools import chain
from pathlib import Path

from django.db import connection
from django.db.models import Max

from collector.batches import BATCH
from collector.fsck.objects import unnamed
from collector.models import Run
from distribution.models import Blob, Manifest, Upload

# The newest objects are in the folders that changed last: adding or removing a file changes its folder's time.
_FOLDERS = 8

_WARNING = (
    "warning: the database is older than the storage: no row names the object {key} of {moment}, and every row is "
    "older. A copy of the SQLite file without its -wal lacks what was pushed last. Stop the server and restore what "
    "`manage.py backup` made, or let `manage.py fsck` list such objects, which its --repair throws away."
)


def has_log() -> bool:
    """Tell whether the database has its write-ahead log, or needs none.

    Call it before the first connection: the last one to close removes the log.
    """
    if connection.vendor != "sqlite":
        return True
    path = Path(connection.settings_dict["NAME"])
    return not path.exists() or path.with_name(f"{path.name}-wal").exists()


def warning(storage: Path) -> str:
    """Return a warning if no row names the newest objects in `storage`, otherwise "". Raises OSError.

    It lists at most _FOLDERS folders and looks up at most BATCH objects.
    """
    newest_row = _newest_row()
    with os.scandir(storage / "objects") as entries:
        folders = nlargest(_FOLDERS, ((entry.stat().st_mtime, Path(entry.path)) for entry in entries if entry.is_dir()))
    changed = chain.from_iterable(_changed_files(folder, newest_row) for at, folder in folders if at > newest_row)
    young = {key: moment for moment, key in nlargest(BATCH, changed)}
    key = next(unnamed(list(young)), None)
    if key is None:
        return ""
    moment = datetime.fromtimestamp(young[key], UTC)
    return _WARNING.format(key=key, moment=f"{moment:%Y-%m-%d %H:%M:%S} UTC")


def _newest_row() -> float:
    """Return the time of the newest row, by indexes only; 0 means no rows."""
    moments = [
        Blob.objects.order_by("-pk").values_list("created_at", flat=True).first(),
        Manifest.objects.order_by("-pk").values_list("created_at", flat=True).first(),
        Upload.objects.aggregate(last=Max("active_at"))["last"],
        Run.objects.order_by("-started_at").values_list("started_at", flat=True).first(),
    ]
    return max((moment.timestamp() for moment in moments if moment is not None), default=0.0)


def _changed_files(folder: Path, moment: float) -> Iterator[tuple[float, str]]:
    """Yield time and key of the objects in one folder that were written after `moment`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            changed_at = entry.stat().st_mtime
            if changed_at > moment:
                yield changed_at, f"objects/{folder.name}/{entry.name}"
