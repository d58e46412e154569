"""Say on a terminal, or now and then in a log, how far a long run is."""

import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 30.0


class Progress:
    """Writes what `text` returns to `stream`: over and over in one line of a terminal, otherwise a line at times."""

    def __init__(self, text: Callable[[], str], stream: TextIO) -> None:
        """Write nothing yet: a short run says nothing."""
        self._text = text
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
        self._stream.write(f"\r\033[K{self._text()}" if self._is_terminal else f"{self._text()}\n")
        self._stream.flush()

    def end(self) -> None:
        """Clear the line of a terminal."""
        if self._has_line:
            self._stream.write("\r\033[K")
            self._stream.flush()
