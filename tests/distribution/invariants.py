"""What must hold after every request, asked of the rows and of the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

from distribution.models import Blob, Link, Manifest, ManifestBlob, ManifestChild, Segment, Tag, Trash, Upload
from tests.storages import is_s3


def objects_on(disk: Path) -> set[str]:
    """Return the keys of all objects that lie in the storage."""
    if is_s3():
        return {str(path.relative_to(disk)) for path in disk.rglob("*")}
    prefix = f"{disk}/"
    return {f"{folder}/{name}".removeprefix(prefix) for folder, _, names in os.walk(disk) for name in names}


def named_keys() -> list[str]:
    """Return every key that a row names, as often as one does."""
    assembled = Upload.objects.values_list("assembly_key", flat=True)
    return [
        *Blob.objects.values_list("key", flat=True),
        *Segment.objects.values_list("key", flat=True),
        *(key for key in assembled if key),
        *Trash.objects.values_list("key", flat=True),
    ]


def broken(disk: Path) -> list[str]:
    """Return what does not hold: nothing, one hopes."""
    return [*_broken_storage(disk), *_blobs_without_links(), *_wrong_flags()]


def _broken_storage(disk: Path) -> Iterator[str]:
    names = named_keys()
    yield from (f"{key} is named more than once" for key in set(names) if names.count(key) > 1)
    lying = objects_on(disk)
    yield from (f"no row names {key}" for key in lying - set(names))
    counted = Segment.objects.filter(size__isnull=False)
    # Nobody writes to these any more.
    quiet = counted.filter(is_sealed=False, upload__lease=None)
    kept = [*Blob.objects.values_list("key", "size"), *quiet.values_list("key", "size")]
    yield from (f"{key} is missing or has another size" for key, size in kept if _size(disk / key) != size)
    yield from (
        f"{key} is short" for key, size in counted.values_list("key", "size") if _size(disk / key) < (size or 0)
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _blobs_without_links() -> Iterator[str]:
    yield from (f"{blob} has no link" for blob in Blob.objects.filter(links=None))


def _wrong_flags() -> Iterator[str]:
    held = _held_manifests()
    for pk, digest, is_unreferenced in Manifest.objects.values_list("pk", "digest", "is_unreferenced"):
        if is_unreferenced == (pk in held):
            yield f"manifest {digest} says is_unreferenced={is_unreferenced}"
    used = set(ManifestBlob.objects.values_list("link_id", flat=True))
    for pk, digest, is_unreferenced in Link.objects.values_list("pk", "blob__digest", "is_unreferenced"):
        if is_unreferenced == (pk in used):
            yield f"the link of {digest} says is_unreferenced={is_unreferenced}"


def _held_manifests() -> set[int]:
    """Ask in plain words: a tag, a parent index, or a subject that is in the repository."""
    held = set(Tag.objects.values_list("manifest_id", flat=True))
    held |= set(ManifestChild.objects.values_list("child_id", flat=True))
    rows = list(Manifest.objects.values_list("pk", "repository_id", "digest", "subject"))
    present = {(repository, digest) for _, repository, digest, _ in rows}
    return held | {pk for pk, repository, _, subject in rows if (repository, subject) in present}
