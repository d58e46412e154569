"""Progress of a long run, on a terminal or periodically in a log."""

import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 30.0
BAR_CHARACTERS = 30
RATE_SECONDS = 60.0


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


class RecentRate:
    """Amounts in a second, of the last minute: what is done already costs another run almost nothing."""

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._samples: deque[tuple[float, tuple[int, ...]]] = deque()

    def measure(self, *amounts: int) -> tuple[float, ...]:
        """Add what is done by now, and return the rate of each amount."""
        now = time.monotonic()
        self._samples.append((now, amounts))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_SECONDS:
            self._samples.popleft()
        first = (self._began_at, (0,) * len(amounts))
        since, before = self._samples[0] if len(self._samples) > 1 else first
        seconds = max(now - since, 0.001)
        return tuple((amount - earlier) / seconds for amount, earlier in zip(amounts, before, strict=True))

    def clear(self) -> None:
        """Begin again with amounts of zero."""
        self._samples.clear()


def time_text(seconds: float) -> str:
    """Return a time to wait: "1h05m", "2m07s", "9s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def bar(done: int, total: int) -> str:
    """Return a progress bar: "[####......] 40%, 4 of 10"."""
    done = min(done, total)
    share = done / total if total else 1.0
    return f"[{'#' * int(share * BAR_CHARACTERS):.<{BAR_CHARACTERS}}] {share:.0%}, {done:,} of {total:,}"
