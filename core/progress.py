"""Progress of a long run, on a terminal or periodically in a log."""

import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 30.0
BAR_CHARACTERS = 30


class Progress:
    """Write the result of `text` to `stream`: repeatedly to one line of a terminal, otherwise a line at intervals.

    A run that is shorter than the interval writes nothing.
    """

    def __init__(self, text: Callable[[], str], stream: TextIO) -> None:
        self._text = text
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._interval = TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS
        self._written_at = time.monotonic()
        self._has_line = False

    def step(self) -> None:
        """Write if the interval has passed."""
        if time.monotonic() - self._written_at < self._interval:
            return
        self._written_at = time.monotonic()
        self._has_line = self._is_terminal
        self._stream.write(f"\r\033[K{self._text()}" if self._is_terminal else f"{self._text()}\n")
        self._stream.flush()

    def end(self) -> None:
        """Clear the line of a terminal."""
        if self._has_line:
            self._stream.write("\r\033[K")
            self._stream.flush()


def bar(done: int, total: int) -> str:
    """Return a progress bar: "[####......] 40%, 4 of 10"."""
    done = min(done, total)
    share = done / total if total else 1.0
    return f"[{'#' * int(share * BAR_CHARACTERS):.<{BAR_CHARACTERS}}] {share:.0%}, {done:,} of {total:,}"
