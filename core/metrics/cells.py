"""Numbers of a process in a memory-mapped file, which other processes read at any time and a kill leaves intact.

    folder/1   the numbers, 8 bytes each │ a line of JSON for each: its key
    folder/2   …

A process locks the first file that no living process has locked, and counts on from the numbers in it. So a dead
process loses nothing, and there are never more files than there were processes at once.
"""

import errno
import fcntl
import json
import logging
import mmap
import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = "REGISTRY_METRICS_FOLDER"
"""The variable that names the folder; without it nothing is counted. Jobs inherit it from their worker."""

# Label values are bounded, so a server has some hundred series.
MAX_CELLS = 4096
_BYTES = 8 * MAX_CELLS

Key = tuple[str, ...]

logger = logging.getLogger(__name__)


class CellFile:
    """The numbers of this process; the file is taken when the first one is counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values = memoryview(bytearray(8)).cast("d")
        self._places: dict[Key, int] = {}
        self._descriptor: int | None = None
        self._is_lost = False

    def place_of(self, key: Key) -> int:
        """Return the index of the number of `key`; on failure that of a number that nobody reads."""
        if self._is_lost:
            return 0
        try:
            if self._descriptor is None:
                self._take()
            return self._places[key] if key in self._places else self._add(key)
        except (OSError, ValueError) as error:
            logger.warning("this process is missing in /metrics: %s", error)
            self._is_lost, self.values = True, memoryview(bytearray(_BYTES)).cast("d")
            return 0

    def close(self) -> None:
        """Close the descriptor that a fork has of its parent's file; the parent's lock stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _take(self) -> None:
        """Lock a file that no living process has. Raises OSError."""
        descriptor = self._descriptor = next(filter(None, map(self._locked, count(1))))
        # Every page exists from here on: a page that a full disk can't give is a SIGBUS.
        os.posix_fallocate(descriptor, 0, _BYTES)
        self.values = memoryview(mmap.mmap(descriptor, _BYTES)).cast("d")
        lines = os.pread(descriptor, os.fstat(descriptor).st_size, _BYTES)
        # A killed process may have written half a line.
        os.ftruncate(descriptor, _BYTES + lines.rfind(b"\n") + 1)
        self._places = {key: index for index, key in _keys(lines)}
        for key, index in self._places.items():
            if key[1] == LIVE:
                self.values[index] = 0.0

    def _locked(self, number: int) -> int | None:
        """Return a descriptor of the file with this number; None means that a living process has it."""
        descriptor = os.open(self.folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The lock ends with the process, however it ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _add(self, key: Key) -> int:
        # 0 is the number that nobody reads.
        index = len(self._places) + 1
        if index == MAX_CELLS or self._descriptor is None:
            return 0
        line, end = json.dumps(key).encode() + b"\n", os.fstat(self._descriptor).st_size
        if os.pwrite(self._descriptor, line, end) < len(line):
            # A full disk took a part of it, behind which no other line could be read.
            os.ftruncate(self._descriptor, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._places[key] = index
        return index


LIVE = "live"
"""The second part of the key of a number that counts only while its process lives."""


class Cells:
    """Some numbers, to which threads add without a lock: `values[places[n]] += amount` after `ready()`.

    Under the GIL no other thread runs between the read and the write of such a `+=`: there is neither a call of Python
    code nor a jump. A lock would cost as much as the addition; a test compares what eight threads add.
    """

    __slots__ = ("_file", "_keys", "places", "values")

    def __init__(self, *keys: Key) -> None:
        self._keys = keys
        self._file: CellFile | None = None
        self.places = [0] * len(keys)
        # Without a folder nobody reads the numbers.
        self.values: Any = [0.0]

    def ready(self) -> None:
        """Find the numbers in the file of this process."""
        if self._file is _file:
            return
        with _lock:
            file = _file
            self.places = [0 if file is None else file.place_of(key) for key in self._keys]
            self.values = [0.0] if file is None else file.values
            self._file = file


class Cell(Cells):
    """One number."""

    __slots__ = ()

    def add(self, amount: float = 1.0) -> None:
        """Add `amount`."""
        if self._file is not _file:
            self.ready()
        self.values[self.places[0]] += amount

    def set(self, value: float) -> None:
        """Replace the number."""
        self.ready()
        self.values[self.places[0]] = value


def read(folder: Path) -> Iterator[tuple[bool, dict[Key, float]]]:
    """Yield the numbers of each process by key, and whether it lives."""
    for path in sorted(folder.glob("[0-9]*")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                is_alive = False
            except BlockingIOError:
                is_alive = True
            content = file.read()
        if len(content) < _BYTES:
            # Taken at this moment.
            continue
        values = memoryview(content[:_BYTES]).cast("d")
        yield is_alive, {key: values[index] for index, key in _keys(content[_BYTES:])}


def _keys(lines: bytes) -> Iterator[tuple[int, Key]]:
    for index, line in enumerate(lines[: lines.rfind(b"\n") + 1].splitlines(), 1):
        yield index, tuple(json.loads(line))


def folder() -> Path | None:
    """Return the folder of the server's numbers; None means that nothing is counted."""
    return None if _file is None else _file.folder


def begin(folder: Path) -> None:
    """Count in `folder` from here on, in this process, its forks and its commands."""
    global _file  # noqa: PLW0603 - one folder a process
    os.environ[FOLDER] = str(folder)
    _file = CellFile(folder)


def _reset_after_fork() -> None:
    global _file, _lock  # noqa: PLW0603 - a file belongs to one process
    _lock = threading.Lock()
    if _file is not None:
        _file.close()
        _file = CellFile(_file.folder)


_lock = threading.Lock()
_file = CellFile(Path(os.environ[FOLDER])) if FOLDER in os.environ else None
os.register_at_fork(after_in_child=_reset_after_fork)
