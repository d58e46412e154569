"""Transfer items from one storage to another, several at once in threads; no thread asks the database.

    open source ── chunk ──> hash, count ── chunk ──> write target ──> end: compare size and digest ──> durable

The comparison comes before the writer sees the end, so an object with other bytes is never published in the target.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import IO

from core.failpoints import failpoint
from distribution.protocol.digest import RunningHash, new_hash
from distribution.storage.blob_store import BlobStore, MissingObjectError
from distribution.storage.circuit_breaker import OPEN_SECONDS
from distribution.storage.cloud import FULL, CloudError, Piece
from distribution.storage.local import CHUNK_BYTES
from storage_copy.source import Item

# Small objects are mostly waiting: for an fsync, or an answer.
THREADS = 16
# Larger objects are limited by the disk or the network, and each has a buffer of a part of S3.
LARGE_BYTES = 1024 * 1024
LARGE_AT_ONCE = 4
ATTEMPTS = 3
_WATCH_SECONDS = 0.5


class StoppedError(Exception):
    """The copy ends, and with it every transfer."""


class SourceError(Exception):
    """An object can't be read, or has other bytes; the text continues "its object …"."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one item: `fault` is why it was not copied, empty if it is there.

    `is_copied` is false for one that was there and right; `lost` is what was wrong with one that was there.
    """

    item: Item
    fault: str = ""
    is_copied: bool = True
    lost: str = ""


class Transfer:
    """Copies items in THREADS threads, and calls `settle` with each outcome in the calling thread."""

    def __init__(
        self,
        source: BlobStore,
        target: BlobStore,
        settle: Callable[[Outcome], None],
        move: Callable[[int], None],
        watch: Callable[[], None],
    ) -> None:
        """`watch` is called often; what it raises ends all transfers. `move` is called by threads, with bytes read."""
        self._source, self._target, self._settle, self._move, self._watch = source, target, settle, move, watch
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="copy")
        self._large = threading.BoundedSemaphore(LARGE_AT_ONCE)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._pending: set[Future[Outcome]] = set()

    def __enter__(self) -> "Transfer":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def copy(self, item: Item, *, replaces: bool) -> None:
        """Copy the item as soon as a thread is free; with `replaces`, objects under its keys are deleted first."""
        self._submit(item, partial(self._copied, item, replaces=replaces))

    def verify(self, item: Item) -> None:
        """Read the item in the target, and copy it again if its bytes are not right."""
        self._submit(item, partial(self._verified, item))

    def _submit(self, item: Item, task: Callable[[], Outcome]) -> None:
        self._pending.add(self._pool.submit(self._run, item, task))
        while len(self._pending) >= 2 * THREADS:
            self._settle_some()
        self._watch()

    def finish(self) -> None:
        """Wait for all items."""
        while self._pending:
            self._settle_some()

    def _settle_some(self) -> None:
        ended, self._pending = wait(self._pending, _WATCH_SECONDS, FIRST_COMPLETED)
        if self._error is not None:
            raise self._error
        for future in ended:
            self._settle(future.result())
        self._watch()

    def _run(self, item: Item, task: Callable[[], Outcome]) -> Outcome:
        try:
            with self._large if item.size >= LARGE_BYTES else nullcontext():
                return task()
        except BaseException as error:
            # The other threads would go on until the calling one sees it.
            if not self._stopped.is_set():
                self._error = error
            self._stopped.set()
            raise

    def _copied(self, item: Item, *, replaces: bool) -> Outcome:
        return Outcome(item, self._fault(item, replaces=replaces))

    def _verified(self, item: Item) -> Outcome:
        lost = self._retried(lambda _attempt: self._read_target(item))
        if lost:
            return Outcome(item, self._fault(item, replaces=True), lost=lost)
        return Outcome(item, is_copied=False)

    def _fault(self, item: Item, *, replaces: bool) -> str:
        return self._retried(lambda attempt: self._copy_pieces(item, replaces=replaces or attempt > 1))

    def _retried(self, task: Callable[[int], None]) -> str:
        """Call `task` with the number of the attempt until a cloud answers; return the text of its SourceError."""
        for attempt in range(1, ATTEMPTS + 1):
            if self._stopped.is_set():
                raise StoppedError
            try:
                task(attempt)
            except SourceError as error:
                return str(error)
            except CloudError as error:
                if attempt == ATTEMPTS or error.state in (FULL, "refused"):
                    raise
                # Until the circuit breaker lets a request through again.
                self._stopped.wait(attempt * (OPEN_SECONDS + 1 if error.state == "no answer" else 1))
            else:
                return ""
        raise AssertionError("the last attempt returns or raises")

    def _read_target(self, item: Item) -> None:
        running = new_hash(item.algorithm)
        for piece in item.pieces:
            with self._reader(self._target, item, piece, running) as reader:
                while reader.read(CHUNK_BYTES):
                    pass

    def _moved(self, size: int) -> None:
        if self._stopped.is_set():
            raise StoppedError
        self._move(size)

    def _copy_pieces(self, item: Item, *, replaces: bool) -> None:
        running = new_hash(item.algorithm)
        for piece in item.pieces:
            if replaces:
                self._target.delete(piece.key)
            with self._reader(self._source, item, piece, running) as reader:
                self._target.write_whole(piece.key, reader)
            failpoint("migratestorage.after_object")

    @contextmanager
    def _reader(self, store: BlobStore, item: Item, piece: Piece, running: RunningHash) -> Iterator["VerifyingReader"]:
        digest = item.digest if piece is item.pieces[-1] else None
        try:
            file = store.open_at(piece.key, 0, None if item.is_exact else piece.size)
        except MissingObjectError as error:
            raise SourceError(f"its object {piece.key} is missing") from error
        except OSError as error:
            raise SourceError(f"its object {piece.key} can't be read ({error.strerror})") from error
        with closing(file):
            yield VerifyingReader(file, piece, running, is_exact=item.is_exact, digest=digest, moved=self._moved)


class VerifyingReader:
    """The bytes of an object, hashed as they are read. Raises SourceError in place of the end unless they are right.

    `digest` is that of all that `running` has hashed by then; None leaves the comparison out. `is_exact` refuses bytes
    behind the size of the piece. `moved` is called with each number of bytes; what it raises ends the reading.
    """

    def __init__(
        self,
        file: IO[bytes],
        piece: Piece,
        running: RunningHash,
        *,
        is_exact: bool,
        digest: str | None,
        moved: Callable[[int], None],
    ) -> None:
        self._file, self._piece, self._running = file, piece, running
        self._is_exact, self._digest, self._moved = is_exact, digest, moved
        self._read = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; one chunk for -1."""
        buffer = bytearray(CHUNK_BYTES if size < 0 else size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def readinto(self, view: memoryview, /) -> int:
        """Put the next bytes into `view`. Raises SourceError, CloudError, what `moved` raises."""
        # One byte more shows an object that is longer; behind the size of an upload's there may be some.
        wanted = view[: self._piece.size - self._read + self._is_exact]
        try:
            got: int = self._file.readinto(wanted) if wanted else 0  # type: ignore[attr-defined]  # files and streams have it
        except OSError as error:
            raise SourceError(f"its object {self._piece.key} can't be read ({error.strerror})") from error
        if not got:
            self._check_end()
            return 0
        self._read += got
        if self._read > self._piece.size:
            raise SourceError(f"its object {self._piece.key} has more than {self._piece.size} bytes")
        self._running.update(view[:got])
        self._moved(got)
        return got

    def _check_end(self) -> None:
        key, size = self._piece.key, self._piece.size
        if self._read < size:
            raise SourceError(f"its object {key} has {self._read} bytes instead of {size}")
        if self._digest is not None and self._running.hexdigest() != self._digest:
            raise SourceError(f"its object {key} has other bytes")
