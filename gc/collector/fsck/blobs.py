"""Blobs: each has an object of its size or digest, and a link."""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from django.db.models import Exists, OuterRef

from collector.batches import by_pk
from collector.fsck.problem import Problem
from core.db import transactions
from distribution.blobs import mark_corrupt
from distribution.models import Blob, Link, remove
from distribution.protocol.digest import new_hash, parse_digest
from distribution.storage import trash
from distribution.storage.blob_store import MissingObjectError, blob_store

CHUNK_BYTES = 1024 * 1024

_LINKED = Exists(Link.objects.filter(blob=OuterRef("pk")))


def check(*, is_deep: bool) -> Iterator[Problem]:
    """Yield each blob whose object does not match its row, and each without a link."""
    for blob in by_pk(Blob.objects.all()):
        fault = fault_of(blob, is_deep=is_deep)
        problem = _problem_of(blob, fault, is_deep=is_deep)
        # A push may have healed it meanwhile, with another key, or the collector removed it.
        if problem is not None and Blob.objects.filter(pk=blob.pk, key=blob.key).exists():
            yield problem
    for blob in by_pk(Blob.objects.exclude(_LINKED)):
        repair = partial(transactions.run, _remove_if_unlinked, blob.pk)
        yield Problem(f"blob {blob.digest}: no repository links it", "removed", repair)


def fault_of(blob: Blob, *, is_deep: bool, pause: Callable[[float], None] | None = None) -> str:
    """Return what is wrong with the blob's object, empty if nothing is; `is_deep` reads all of it.

    `pause` is called after each chunk with the monotonic time at which its read began; what it raises ends the reading.
    Raises what the storage raises, except a read error of the disk.
    """
    try:
        size = blob_store().size(blob.key)
        if size != blob.size:
            return f"its object {blob.key} has {size} bytes instead of {blob.size}"
        if is_deep and _digest(blob, pause) != blob.digest:
            return f"its object {blob.key} has other bytes"
    except MissingObjectError:
        return f"its object {blob.key} is missing"
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return f"its object {blob.key} can't be read from the disk"
    return ""


def _digest(blob: Blob, pause: Callable[[float], None] | None) -> str:
    algorithm = parse_digest(blob.digest).algorithm
    running = new_hash(algorithm)
    with closing(blob_store().open_at(blob.key)) as file:
        began_at = time.monotonic()
        while chunk := file.read(CHUNK_BYTES):
            running.update(chunk)
            if pause is not None:
                pause(began_at)
            began_at = time.monotonic()
    return f"{algorithm}:{running.hexdigest()}"


def _problem_of(blob: Blob, fault: str, *, is_deep: bool) -> Problem | None:
    if fault:
        repair = None if blob.is_corrupt else partial(mark_corrupt, blob.pk, blob.key)
        return Problem(f"blob {blob.digest}: {fault}", "answers 404 until a push heals it", repair, is_loss=True)
    if blob.is_corrupt and is_deep:
        sound = Blob.objects.filter(pk=blob.pk, key=blob.key)
        unmark = partial(transactions.run, sound.update, is_corrupt=False)
        return Problem(f"blob {blob.digest}: marked corrupt, but its bytes are right", "mark removed", unmark)
    if blob.is_corrupt:
        return Problem(f"blob {blob.digest}: marked corrupt; --deep reads it again", is_loss=True)
    return None


def _remove_if_unlinked(pk: int) -> None:
    blob = Blob.objects.select_for_update().filter(pk=pk).first()
    if blob is not None and not Link.objects.filter(blob=blob).exists():
        trash.put([blob.key])
        remove(Blob.objects.filter(pk=pk))
