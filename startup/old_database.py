"""Detect at start that a SQLite database is older than its storage, as a copy of its file alone is.

What was committed last is in the write-ahead log beside the file until a checkpoint. A copy without it lacks rows of
objects that are in the storage. A crash leaves the log where it was, so that no crash looks like this.
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

# An object that was added or removed changes the time of its folder: what is looked for is in those changed last.
_FOLDERS = 8

_WARNING = (
    "warning: the database is older than the storage: no row names the object {key} of {moment}, and every row is "
    "older. A copy of the SQLite file without its -wal lacks what was pushed last. Stop the server and restore what "
    "`manage.py backup` made, or let `manage.py fsck` list such objects, which its --repair throws away."
)


def has_log() -> bool:
    """Tell whether a write-ahead log lies beside the database, or there is nothing that could lack one.

    Asked before anybody connects: the last one who closes the database removes the log.
    """
    if connection.vendor != "sqlite":
        return True
    path = Path(connection.settings_dict["NAME"])
    return not path.exists() or path.with_name(f"{path.name}-wal").exists()


def warning(storage: Path) -> str:
    """Return what to say about the newest objects in `storage`, empty when rows name them. Raises OSError.

    However many objects there are, no more than _FOLDERS are listed and BATCH looked up.
    """
    newest_row = _newest_row()
    folders = _changed_since(storage / "objects", newest_row)
    changed = chain.from_iterable(_changed_files(folder, newest_row) for folder in folders)
    young = {key: moment for moment, key in nlargest(BATCH, changed)}
    key = next(unnamed(list(young)), None)
    if key is None:
        return ""
    moment = datetime.fromtimestamp(young[key], UTC)
    return _WARNING.format(key=key, moment=f"{moment:%Y-%m-%d %H:%M:%S} UTC")


def _newest_row() -> float:
    """Return the time of the row that was made last, by indexes only; 0 without rows."""
    moments = [
        Blob.objects.order_by("-pk").values_list("created_at", flat=True).first(),
        Manifest.objects.order_by("-pk").values_list("created_at", flat=True).first(),
        Upload.objects.aggregate(last=Max("active_at"))["last"],
        Run.objects.order_by("-started_at").values_list("started_at", flat=True).first(),
    ]
    return max((moment.timestamp() for moment in moments if moment is not None), default=0.0)


def _changed_since(objects: Path, moment: float) -> list[Path]:
    with os.scandir(objects) as entries:
        found = [(entry.stat().st_mtime, Path(entry.path)) for entry in entries if entry.is_dir()]
    return [path for changed_at, path in sorted(found, reverse=True)[:_FOLDERS] if changed_at > moment]


def _changed_files(folder: Path, moment: float) -> Iterator[tuple[float, str]]:
    """Yield when objects in one of the 256 folders were written after `moment`, and their keys."""
    with os.scandir(folder) as entries:
        for entry in entries:
            changed_at = entry.stat().st_mtime
            if changed_at > moment:
                yield changed_at, f"objects/{folder.name}/{entry.name}"
