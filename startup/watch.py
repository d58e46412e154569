"""Watch the content of a file, whether it is written, renamed or swapped by a link."""

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
# Far more than any configuration; the master's loop reads no more.
MAX_BYTES = 16 * 1024 * 1024
# The resolution of vfat's times; other file systems have milliseconds.
_COARSEST_TIME_SECONDS = 2.0


class Watch:
    """Polls the content of a file; a change counts once two polls in a row agree."""

    def __init__(self, path: Path) -> None:
        """Start from the current content."""
        self._path = path
        self._mark: object = None
        self._content: bytes | None = None
        self._known = self._seen = self._digest()

    def has_changed(self) -> bool:
        """Poll; tell whether the content is new and no longer being written."""
        found = self._digest()
        is_settled, self._seen = found == self._seen, found
        if found is None or found == self._known or not is_settled:
            return False
        self._known = found
        return True

    def _digest(self) -> bytes | None:
        """Return the digest of the content; None means that there is no file, as between two renames.

        The file is read only if its metadata changed, or is so young that another change may have the same time.
        """
        try:
            found = self._path.stat()
            mark = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if mark != self._mark or time.time() - found.st_mtime < _COARSEST_TIME_SECONDS:
                # The metadata is from before the read, so a write meanwhile differs at the next poll.
                self._content, self._mark = _digest(self._path), mark
        except OSError:
            self._content = self._mark = None
        return self._content


def _digest(path: Path) -> bytes | None:
    """Return the digest of a file's first bytes; None means that it is not a regular file. Raises OSError.

    A FIFO must not block the master's loop, hence O_NONBLOCK.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return hashlib.sha256(file.read(MAX_BYTES + 1)).digest()


def install(server: Arbiter, watch: Watch, then: Callable[[], None]) -> None:
    """Poll every second in the master's loop, and call `then` after a change.

    A timer signal joins the loop's other signals; a thread would exist at each fork.
    """

    def look() -> None:
        if watch.has_changed():
            then()

    server.handle_alrm = look  # type: ignore[attr-defined]  # gunicorn looks for it by the name of the signal
    signal.signal(signal.SIGALRM, server.signal)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
    # At exit Python removes its handlers first, and the next signal would kill the process.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
