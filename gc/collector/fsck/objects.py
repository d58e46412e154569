"""Stored objects: each is named by exactly one row."""

from collections.abc import Iterator
from functools import partial

from django.core.files.storage import storages

from collector.batches import BATCH, by_pk
from collector.fsck.problem import Problem
from distribution.models import Blob, Segment, Trash, Upload, remove
from distribution.storage import trash
from distribution.storage.blob_store import MissingObjectError, blob_store


def check() -> Iterator[Problem]:
    """Yield each object that no row names, and each in the trash that another row names too."""
    for number in range(256):
        keys = stored_keys(f"objects/{number:02x}")
        for start in range(0, len(keys), BATCH):
            yield from _orphans(keys[start : start + BATCH])
    for row in by_pk(Trash.objects.all()):
        if _needed([row.key]) and Trash.objects.filter(pk=row.pk).exists():
            mend = partial(_rescue, row.key)
            yield Problem(f"object {row.key}: in the trash and in use", "taken out of the trash", mend)


def stored_keys(folder: str) -> list[str]:
    """Return the keys of the objects in one of the 256 folders."""
    try:
        _, names = storages["blobs"].listdir(folder)
    except FileNotFoundError:
        return []
    return [f"{folder}/{name}" for name in names]


def _orphans(keys: list[str]) -> Iterator[Problem]:
    for key in unnamed(keys):
        yield Problem(f"object {key}: no row names it", "put into the trash", partial(trash.put, [key]))


def unnamed(keys: list[str]) -> Iterator[str]:
    """Yield those of `keys`, at most BATCH, that no row names although there is an object."""
    for key in sorted(set(keys) - _named(keys)):
        # What is not there any more was deleted, and then its row.
        if _is_stored(key):
            yield key


def _named(keys: list[str]) -> set[str]:
    trashed = Trash.objects.filter(key__in=keys).values_list("key", flat=True)
    return _needed(keys) | set(trashed)


def _needed(keys: list[str]) -> set[str]:
    """Return which of `keys` an upload or blob names.

    Asked in the order in which an object goes on, upload → blob → trash: one that goes on meanwhile is met.
    """
    segments = set(Segment.objects.filter(key__in=keys).values_list("key", flat=True))
    uploads = set(Upload.objects.filter(assembly_key__in=keys).values_list("assembly_key", flat=True))
    blobs = set(Blob.objects.filter(key__in=keys).values_list("key", flat=True))
    return segments | blobs | {key for key in uploads if key}


def _is_stored(key: str) -> bool:
    try:
        blob_store().size(key)
    except MissingObjectError:
        return False
    return True


def _rescue(key: str) -> None:
    remove(Trash.objects.filter(key=key))
