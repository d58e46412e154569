"""The progress of a copy, and its result."""

import threading
import time
from dataclasses import dataclass, field

from core.progress import RecentRate, bar, time_text
from core.sizes import size_text
from storage_copy.source import Item

# An object takes as long as this many bytes more: its requests, or the fsyncs of file and folder.
_BYTES_PER_OBJECT = 256 * 1024


@dataclass(slots=True)
class Progress:
    """Counts of one pass; `all_copied`, `all_copied_bytes` and `replaced` are of all passes.

    `faults` are the objects that can't be copied, and why; `corrupt` counts those that are marked so and left out.
    """

    total: int = 0
    total_bytes: int = 0
    copied: int = 0
    all_copied: int = 0
    all_copied_bytes: int = 0
    present: int = 0
    present_bytes: int = 0
    corrupt: int = 0
    orphans: int = 0
    faults: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    began_at: float = field(default_factory=time.monotonic)
    moved_bytes: int = 0
    _moving: threading.Lock = field(default_factory=threading.Lock)
    _recent: RecentRate = field(init=False)

    def __post_init__(self) -> None:
        self._recent = RecentRate(self.began_at)

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.monotonic() - self.began_at

    def count_copied(self, item: Item) -> None:
        self.copied += len(item.pieces)
        self.all_copied += len(item.pieces)
        self.all_copied_bytes += item.size

    def count_present(self, item: Item) -> None:
        self.present += len(item.pieces)
        self.present_bytes += item.size

    def move(self, size: int) -> None:
        """Count bytes on their way, from any thread."""
        with self._moving:
            self.moved_bytes += size

    def begin_pass(self, total: int, total_bytes: int) -> None:
        """Count the present objects from zero, towards new totals."""
        self.total, self.total_bytes = total, total_bytes
        self.copied = self.present = self.present_bytes = self.moved_bytes = self.corrupt = 0
        self.faults.clear()
        self._recent.clear()

    def so_far(self) -> str:
        """Return the progress in one line."""
        done = self.copied + self.present
        work = self.moved_bytes + self.present_bytes + done * _BYTES_PER_OBJECT
        work_rate, byte_rate = self._recent.measure(work, self.moved_bytes)
        text = f"copying {bar(done, self.total)} objects, {size_text(int(byte_rate))}/s"
        left = self.total_bytes + self.total * _BYTES_PER_OBJECT - work
        if work_rate > 0 and left > 0:
            text += f", {time_text(left / work_rate)} left"
        return text
