"""Say on a terminal, or now and then in a log, how far a long run is."""

import time
from collections.abc import Callable
from typing import TextIO

from collector.report import Report, size_text

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 30.0
BAR_CHARACTERS = 30


class Progress:
    """Writes what `say` returns to `stream`: over and over in one line of a terminal, else one line at times."""

    def __init__(self, say: Callable[[], str], stream: TextIO) -> None:
        """Write nothing yet: a short run says nothing."""
        self._say = say
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._interval = TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS
        self._written_at = time.monotonic()
        self._has_line = False

    def step(self) -> None:
        """Write when it is time."""
        if time.monotonic() - self._written_at < self._interval:
            return
        self._written_at = time.monotonic()
        self._has_line = self._is_terminal
        self._stream.write(f"\r\033[K{self._say()}" if self._is_terminal else f"{self._say()}\n")
        self._stream.flush()

    def end(self) -> None:
        """Clear the line of a terminal."""
        if self._has_line:
            self._stream.write("\r\033[K")
            self._stream.flush()


def so_far(report: Report) -> str:
    """Say what a run has removed."""
    total = report.total
    rows = f"{total.manifests} manifests, {total.links} links, {total.blobs} blobs"
    return f"so far: {rows}, {size_text(total.freed_bytes)}"


def bar(done: int, total: int) -> str:
    """Say how much of the rows to remove is gone, as a bar."""
    done = min(done, total)
    share = done / total if total else 1.0
    return f"[{'#' * int(share * BAR_CHARACTERS):.<{BAR_CHARACTERS}}] {share:4.0%}  {done:,} of {total:,} rows"
