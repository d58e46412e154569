"""`objects.tsv`: the objects of one copy of the database, sorted by key."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from backup import files

NAME = "objects.tsv"
# Corrupt blobs are not worth a copy: a push heals them here and after a restore.
QUERY = 'SELECT key, size, digest FROM distribution_blob WHERE NOT is_corrupt ORDER BY key COLLATE "BINARY"'


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The object of a blob: its key in the storage, its size and digest."""

    key: str
    size: int
    digest: str

    @property
    def name(self) -> str:
        """The file name of the key."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a list, and its checksum."""

    objects: int
    object_bytes: int
    list_sha256: str


def write(path: Path, rows: Iterable[tuple[str, int, str]]) -> Totals:
    """Write the rows of QUERY to `path`. Raises OSError."""
    objects = size = 0
    running = hashlib.sha256()
    with path.open("wb") as file:
        for key, bytes_, digest in rows:
            line = f"{key}\t{bytes_}\t{digest}\n".encode()
            running.update(line)
            file.write(line)
            objects, size = objects + 1, size + bytes_
    files.sync(path)
    return Totals(objects, size, running.hexdigest())


def read(path: Path) -> Iterator[StoredObject]:
    """Yield the objects of a list. Raises OSError."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            key, size, digest = line.rstrip("\n").split("\t")
            yield StoredObject(key, int(size), digest)


def by_folder(path: Path) -> Iterator[tuple[str, list[StoredObject]]]:
    """Yield each folder, as "objects/ab", with its objects; memory is that of one folder. Raises OSError."""
    for folder, objects in groupby(read(path), lambda stored: stored.key.rpartition("/")[0]):
        yield folder, list(objects)
