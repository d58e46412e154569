"""Stored objects: each is named by exactly one row."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from django.core.files.storage import storages

from collector.batches import BATCH, by_pk
from collector.fsck.problem import Problem
from distribution.models import Blob, Segment, Trash, Upload, remove
from distribution.storage import trash
from distribution.storage.blob_store import MissingObjectError, blob_store


def check() -> Iterator[Problem]:
    """Yield each object that no row names, and each in the trash that is also in use."""
    for number in range(256):
        folder = f"objects/{number:02x}"
        names: list[str] = []
        with suppress(FileNotFoundError):
            _, names = storages["blobs"].listdir(folder)
        for start in range(0, len(names), BATCH):
            for key in unnamed([f"{folder}/{name}" for name in names[start : start + BATCH]]):
                yield Problem(f"object {key}: no row names it", "put into the trash", partial(trash.put, [key]))
    for row in by_pk(Trash.objects.all()):
        if _in_use([row.key]) and Trash.objects.filter(pk=row.pk).exists():
            repair = partial(remove, Trash.objects.filter(key=row.key))
            yield Problem(f"object {row.key}: in the trash and in use", "taken out of the trash", repair)


def unnamed(keys: list[str]) -> Iterator[str]:
    """Yield those of `keys`, at most BATCH, that have an object and no row."""
    named = _in_use(keys)
    named.update(Trash.objects.filter(key__in=keys).values_list("key", flat=True))
    for key in sorted(set(keys) - named):
        # A missing object was deleted from the trash meanwhile, and then its row.
        with suppress(MissingObjectError):
            blob_store().size(key)
            yield key


def _in_use(keys: list[str]) -> set[str]:
    """Return which of `keys` an upload or blob names.

    The queries follow the life of an object, upload → blob → trash, so that one that moves on meanwhile is not missed.
    """
    segments = set(Segment.objects.filter(key__in=keys).values_list("key", flat=True))
    uploads = set(Upload.objects.filter(assembly_key__in=keys).values_list("assembly_key", flat=True))
    blobs = set(Blob.objects.filter(key__in=keys).values_list("key", flat=True))
    return segments | blobs | {key for key in uploads if key}
