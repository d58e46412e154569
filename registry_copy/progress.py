"""The progress of an import or export, and its result."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from core.progress import RecentRate, bar, time_text
from core.sizes import counted, size_text
from registry_copy.importing.rows import Stored


@dataclass(slots=True)
class Progress:
    """Counts of a run; each thing that is left out or kept is said at once, so that memory does not grow with them."""

    say: Callable[[str], None]
    verb: str = "importing"
    total: int = 0
    done: int = 0
    moved_bytes: Callable[[], int] = int
    is_hashed: bool = False
    repositories: int = 0
    blobs: int = 0
    bytes: int = 0
    links: int = 0
    manifests: int = 0
    tags: int = 0
    moved: int = 0
    kept: int = 0
    present: int = 0
    unlinked: int = 0
    dangling: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    began_at: float = field(default_factory=time.monotonic)
    _recent: RecentRate = field(init=False)

    def __post_init__(self) -> None:
        self._recent = RecentRate(self.began_at)

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.monotonic() - self.began_at

    def leave_out(self, kind: str, what: str, why: str) -> None:
        """Count something of a kind as left out, and say why."""
        self.left_out[kind] += 1
        self.say(_printable(f"left out: {what}: {why}"))

    def keep(self, what: str, why: str) -> None:
        """Count a tag as kept as it is, and say why."""
        self.kept += 1
        self.say(f"kept: {what}: {why}")

    def count(self, stored: Stored) -> None:
        self.blobs += stored.blobs
        self.bytes += stored.bytes
        self.links += stored.links
        self.manifests += stored.manifests
        self.tags += stored.tags
        self.moved += stored.moved

    def so_far(self) -> str:
        """Return the progress in one line."""
        moved = self.moved_bytes()
        rate, byte_rate = self._recent.measure(self.done, moved)
        text = f"{self.verb} {bar(self.done, self.total)} manifests and blobs, {rate:,.0f}/s"
        if moved:
            text += f", {size_text(int(byte_rate))}/s"
        if rate > 0 and self.total > self.done:
            text += f", {time_text((self.total - self.done) / rate)} left"
        return text

    def summary(self) -> str:
        """Return what is left out, by kind."""
        return ", ".join(
            counted(number, kind, "repositories" if kind == "repository" else "")
            for kind, number in sorted(self.left_out.items())
        )


def _printable(text: str) -> str:
    """Return `text` for a terminal: names of files may have any bytes."""
    return text if text.isprintable() else ascii(text)
