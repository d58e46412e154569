"""The new objects of a batch: named in the trash before their first byte, durable when `place` returns.

The transaction that makes them blobs takes them out of the trash again (`rows`). If it never comes, they are deleted
when their time there is over.
"""

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from collector.throttle import StopError
from core.db import clock, transactions
from core.failpoints import failpoint
from distribution.models import Trash
from distribution.protocol.digest import parse_digest
from distribution.storage.blob_store import new_key
from registry_copy.errors import LeftOutError
from registry_copy.source.files import Files
from registry_copy.source.tree import data_of

# A batch is copied within this time, however large its blobs are.
KEPT = timedelta(days=3)
THREADS = 8
_WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that is named in the trash."""

    key: str
    size: int


class Placing:
    """Places objects: one after the other, or in THREADS threads, of which none asks the database."""

    def __init__(self, watch: Callable[[], None]) -> None:
        """Call `watch` often; what it raises ends the run."""
        self.watch = watch
        self.moved_bytes = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="import")

    def __enter__(self) -> "Placing":
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is not None:
            self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def moved(self, size: int) -> None:
        """Count bytes on their way. Raises StopError when the run ends."""
        if self._stopped.is_set():
            raise StopError("another object failed")
        with self._lock:
            self.moved_bytes += size

    def each(self, task: Callable[[str], str], digests: Iterable[str], *, is_slow: bool) -> Iterator[tuple[str, str]]:
        """Yield each digest with what `task` returns for it: why it fails, "" if it does not."""
        if not is_slow:
            for digest in digests:
                yield digest, task(digest)
                self.watch()
            return
        futures: dict[Future[str], str] = {self._pool.submit(task, digest): digest for digest in digests}
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, _WATCH_SECONDS, FIRST_COMPLETED)
            for future in ended:
                yield futures[future], future.result()
            self.watch()

    def place(
        self, files: Files, sizes: Mapping[str, int], *, verifies: bool
    ) -> tuple[dict[str, NewObject], dict[str, str]]:
        """Return the new objects of the blobs `sizes`, by digest, and those that can't be placed, and why."""
        # In one folder: its fsync waits for the disk, and 256 of them for each batch took most of the time.
        folder = secrets.token_hex(1)
        made = {digest: NewObject(new_key(folder), size) for digest, size in sizes.items()}
        if not made:
            return {}, {}
        transactions.run(_name, [new.key for new in made.values()])
        failpoint("import.after_trash")

        def take(digest: str) -> str:
            try:
                self._take(files, digest, made[digest], verifies=verifies)
            except LeftOutError as error:
                return str(error)
            return ""

        faults = {digest: fault for digest, fault in self.each(take, made, is_slow=files.is_slow or verifies) if fault}
        placed = {digest: new for digest, new in made.items() if digest not in faults}
        files.sync([new.key for new in placed.values()])
        failpoint("import.after_objects")
        return placed, faults

    def _take(self, files: Files, digest: str, new: NewObject, *, verifies: bool) -> None:
        parsed = parse_digest(digest)
        if verifies and not files.hashes:
            files.check_digest(data_of(parsed), parsed, self.moved)
        files.take(data_of(parsed), parsed, new.size, new.key)
        failpoint("import.after_object")


def _name(keys: list[str]) -> None:
    due = clock.now() + KEPT
    Trash.objects.bulk_create([Trash(key=key, delete_after=due) for key in keys], ignore_conflicts=True)
