"""The objects that rows name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Q, Sum

from collector.batches import by_pk
from distribution.models import Blob, Segment, Trash, Upload
from distribution.protocol.digest import parse_digest
from distribution.storage.cloud import Piece
from distribution.uploads import resumable_hash

FOLDERS = tuple(f"objects/{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True)
class Item:
    """What is copied and verified as one: the object of a blob, or all objects of an upload.

    `digest` is that of all pieces together, None if it is unknown. The object of a blob `is_exact`: it has no bytes
    behind its size. `is_current` asks whether rows still name the pieces, which a collector or push may have removed.
    """

    name: str
    pieces: list[Piece]
    algorithm: str
    digest: str | None
    is_exact: bool
    is_current: Callable[[], bool]

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)


@dataclass(slots=True)
class Folder:
    """The blobs whose objects are in one folder of the storage, and how many of them are marked corrupt."""

    blobs: list[Item] = field(default_factory=list)
    corrupt: int = 0


def totals() -> tuple[int, int]:
    """Return the number of objects to copy, and their bytes."""
    sound = Blob.objects.filter(is_corrupt=False)
    parts = Segment.objects.filter(size__gt=0)
    sums = [rows.aggregate(bytes=Sum("size"))["bytes"] or 0 for rows in (sound, parts)]
    return sound.count() + parts.count(), sum(sums)


def folder(name: str) -> Folder:
    """Return the blobs of the folder `name`, as "objects/ab"."""
    found = Folder()
    rows = Blob.objects.filter(_below(name)).values_list("pk", "key", "size", "digest", "is_corrupt")
    for pk, key, size, text, is_corrupt in list(rows):
        if is_corrupt:
            found.corrupt += 1
            continue
        digest = parse_digest(text)
        is_current = Blob.objects.filter(pk=pk, key=key, is_corrupt=False).exists
        pieces = [Piece(key, size)]
        found.blobs.append(
            Item(f"blob {text}", pieces, digest.algorithm, digest.encoded, is_exact=True, is_current=is_current)
        )
    return found


def uploads() -> Iterator[Item]:
    """Yield each open upload that has bytes."""
    for upload in by_pk(Upload.objects.filter(offset__gt=0)):
        rows = Segment.objects.filter(upload=upload, size__gt=0).order_by("start")
        pieces = [Piece(segment.key, segment.size or 0) for segment in rows]
        state = None if upload.hash_state is None else bytes(upload.hash_state)
        running = resumable_hash.resume(state, upload.algorithm, upload.offset)
        digest = None if running is None else running.hexdigest()
        is_current = Upload.objects.filter(pk=upload.pk).exists
        yield Item(f"upload {upload.pk}", pieces, upload.algorithm, digest, is_exact=False, is_current=is_current)


def unnamed(folder_name: str, names: set[str]) -> list[str]:
    """Return the keys of the objects `names` in a folder that no row names."""
    below = _below(folder_name)
    keys = {f"{folder_name}/{name}" for name in names}
    # The order is that of an object's life: upload → blob → trash.
    keys.difference_update(Segment.objects.filter(below).values_list("key", flat=True))
    assembled = Upload.objects.filter(_below(folder_name, "assembly_key"))
    keys.difference_update(str(key) for key in assembled.values_list("assembly_key", flat=True))
    keys.difference_update(Blob.objects.filter(below).values_list("key", flat=True))
    keys.difference_update(Trash.objects.filter(below).values_list("key", flat=True))
    return sorted(keys)


def _below(folder_name: str, column: str = "key") -> Q:
    """Return the condition that a key is in the folder, which an index answers."""
    if connection.vendor == "sqlite":
        # "0" follows "/"; LIKE takes no index there.
        return Q(**{f"{column}__gte": f"{folder_name}/", f"{column}__lt": f"{folder_name}0"})
    return Q(**{f"{column}__startswith": f"{folder_name}/"})
