"""Notice that the content of a file has changed, whether it was written, renamed or swapped by a link."""

import atexit
import hashlib
import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

from gunicorn.arbiter import Arbiter

LOOK_SECONDS = 1.0
# No configuration is as long; the loop of the master does not wait for more.
MAX_BYTES = 16 * 1024 * 1024
# Of vfat; others count milliseconds.
_COARSEST_TIME_SECONDS = 2.0


class Watch:
    """The content of a file, looked at again and again; it counts once two looks in a row found the same."""

    def __init__(self, path: Path) -> None:
        """Take what is in the file now for known."""
        self._path = path
        self._mark: object = None
        self._content: bytes | None = None
        self._known = self._seen = self._digest()

    def has_changed(self) -> bool:
        """Look; tell whether there is new content that is no longer being written."""
        found = self._digest()
        is_settled, self._seen = found == self._seen, found
        if found is None or found == self._known or not is_settled:
            return False
        self._known = found
        return True

    def _digest(self) -> bytes | None:
        """Return what differs for other content; None while there is no file, as between two renames.

        It is read only after a change of the file that the name leads to, and while that is so young that another
        change need not have another time.
        """
        try:
            found = self._path.stat()
            mark = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if mark != self._mark or time.time() - found.st_mtime < _COARSEST_TIME_SECONDS:
                # The mark is from before: what is written meanwhile changes it once more.
                self._content, self._mark = _digest(self._path), mark
        except OSError:
            self._content = self._mark = None
        return self._content


def _digest(path: Path) -> bytes | None:
    """Return the digest of a file's first bytes; None for what is no file. Raises OSError.

    A FIFO is not waited for, since this is the loop that all workers depend on.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return hashlib.sha256(file.read(MAX_BYTES + 1)).digest()


def install(server: Arbiter, watch: Watch, then: Callable[[], None]) -> None:
    """Let `server` look every second, and do `then` after a change.

    A timer's signal is handled between others, in the loop of the master; a thread would be there at each fork.
    """

    def look() -> None:
        if watch.has_changed():
            then()

    server.handle_alrm = look  # type: ignore[attr-defined]  # gunicorn looks for it by the name of the signal
    signal.signal(signal.SIGALRM, server.signal)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
    # At its end Python gives up its handlers first, and the next signal would kill the process.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
