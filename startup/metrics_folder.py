"""The folder in which the processes of a server count, made afresh at each start.

It is in memory where the system has such a file system: counting must not write to a disk.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

from core.metrics import cells

_PREFIX = "registry-metrics-"
_LOCK = "lock"
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it


class MetricsFolder:
    """A folder of this server; the lock in it is held as long as one of its processes lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = os.getpid()
        self._lock = (path / "new").open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Under this name it is locked from the start: another server that starts must not find it free.
        (path / "new").rename(path / _LOCK)

    def remove(self) -> None:
        """Remove the folder, unless this process is a fork of the one that made it."""
        self._lock.close()
        if os.getpid() == self._owner:
            shutil.rmtree(self._path, ignore_errors=True)


def make() -> MetricsFolder:
    """Make the folder and count in it; remove those that killed servers of this user left.

    Exit with status 1 if it can't be made.
    """
    try:
        base = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        for found in base.glob(f"{_PREFIX}*"):
            if _is_left(found):
                shutil.rmtree(found, ignore_errors=True)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        made = MetricsFolder(path)
    except OSError as error:
        sys.exit(
            f"server.metrics_token: no folder for the numbers can be made ({error}); make /dev/shm or /tmp writable"
        )
    cells.begin(path)
    return made


def _is_left(folder: Path) -> bool:
    """Tell whether the folder is of this user, and no process holds its lock; without a lock it is being made."""
    try:
        if folder.stat(follow_symlinks=False).st_uid != os.geteuid():
            return False
        with (folder / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
