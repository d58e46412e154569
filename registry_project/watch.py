"""Notice that the content of a file has changed, whether it was written, renamed or swapped by a link."""

import atexit
import hashlib
import signal
from collections.abc import Callable
from pathlib import Path

from gunicorn.arbiter import Arbiter

LOOK_SECONDS = 1.0


class Watch:
    """The content of a file, looked at again and again; it counts once two looks in a row found the same."""

    def __init__(self, path: Path) -> None:
        """Take what is in the file now for known."""
        self._path = path
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
        """Return what differs for other content; None while there is no file, as between two renames."""
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return None


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
