"""One request's bytes of an upload: their object named by a row, written, made durable, counted.

    claim ── last segment is ours alone ──> append to its object ─┐
          └─ a new one                  ──> write a new object   ─┴─> fsync ──> COMMIT size, offset and hash state

A storage that can't append gets a new object for each request.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import Error

from core.api.body import Body, cut_error
from core.api.errors import ErrorCode, RegistryError, unavailable
from core.db import transactions
from core.db.pooled_connection import release_connection
from core.db.statement import Statement
from core.failpoints import failpoint
from distribution.models import Blob, Segment, Upload, remove
from distribution.protocol.digest import Digest, RunningHash
from distribution.protocol.spec import MAX_SEGMENTS
from distribution.storage import trash
from distribution.storage.blob_store import Reader, blob_store, new_key
from distribution.storage.local import SyncError
from distribution.storage.stored_content import Content
from distribution.uploads import admission, leases, resumable_hash
from distribution.uploads.admission import Growth
from distribution.uploads.hashing_reader import HashingReader
from distribution.uploads.leases import Claim, LostLeaseError

logger = logging.getLogger(__name__)

# What arrived before a connection broke is kept when resuming saves more than it costs.
MIN_PREFIX_BYTES = 1024 * 1024


_INSERT = Statement("INSERT INTO distribution_segment (upload_id, key, start) VALUES (%s, %s, %s)")
_UNFINISHED = Statement("SELECT key FROM distribution_segment WHERE upload_id = %s AND size IS NULL")
_REMOVE_UNFINISHED = Statement("DELETE FROM distribution_segment WHERE upload_id = %s AND size IS NULL")
_HASH_STATE = Statement("SELECT hash_state FROM distribution_upload WHERE id = %s")
_LAST = Statement("""
SELECT key, size, is_sealed FROM distribution_segment
WHERE upload_id = %s AND size IS NOT NULL
ORDER BY start DESC LIMIT 1
""")
_COUNT = Statement("SELECT count(*) FROM distribution_segment WHERE upload_id = %s")
_FINISH = Statement("UPDATE distribution_segment SET size = %s WHERE key = %s")
_IS_FINISHED = Statement("SELECT 1 FROM distribution_segment WHERE key = %s AND size >= %s")
_SEAL_FINISHED = Statement("UPDATE distribution_segment SET is_sealed = TRUE WHERE key = %s AND size IS NOT NULL")


class _NotNamedError(Exception):
    """The upload has no object that was named and never written to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next bytes of a claimed upload go: into the object under `key`, behind the `filled` that count.

    `hash` is that of the whole upload; None when nobody knows it so far.
    """

    claim: Claim
    key: str
    hash: RunningHash | None
    filled: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    """`size` bytes at a place, durable but not yet counted as part of their upload."""

    place: Place
    size: int

    def content(self, algorithm: str) -> Content | None:
        """Return the upload with these bytes, None unless one object has all of them and their hash is known."""
        place = self.place
        if place.filled != place.claim.offset or place.hash is None:
            return None
        digest = Digest(algorithm, place.hash.hexdigest())
        return Content(place.key, place.filled + self.size, digest, place.claim.offset, place.claim.lease)


@contextmanager
def claiming(upload: Upload) -> Iterator[Claim]:
    """Yield a claim that is still to be taken, for all that one request does; whatever fails gives it up.

    So the next request need not wait for the lease to run out. Should even that fail, the lease does run out, and who
    takes the upload over trusts none of its objects.
    """
    claim = Claim(upload.pk)
    try:
        yield claim
    except Exception:
        failpoint("upload.before_abandon")
        with suppress(RegistryError, Error):
            transactions.run_volatile(_abandon, claim)
        raise


def receive(
    upload: Upload, claim: Claim, body: Body, start: int, expected: int | None, *, keeps_prefix: bool = True
) -> Received:
    """Make the body durable behind what the upload has and return it, the upload still claimed.

    `start` is the offset it belongs to; `expected` the size that Content-Range promised, None without one. A long
    beginning of a body that was cut is counted if the upload `keeps_prefix`.
    Raises RANGE_INVALID when the upload stands elsewhere or another request is writing; SIZE_INVALID when
    the body is not as long as it said; what `admission.check` raises; UNAVAILABLE when the storage fails.
    """
    place = _claim(upload, claim, start)
    announced = body.length if body.length is not None else expected or 0
    admission.check(upload, claim.offset + announced, announced)
    try:
        received = _store(upload, place, body)
    except FileExistsError:
        # Begun by a short body, which claims nothing, or under a claim that a database forgot. None of this was read.
        received = _store(upload, transactions.run(_claim_next, upload, claim, start), body)
    _check_size(upload, received, body, expected, keeps_prefix=keeps_prefix)
    return received


def write(upload: Upload, place: Place, reader: Reader) -> None:
    """Store what `reader` gives at a place whose object a row of the claimed upload names.

    Raises RANGE_INVALID when the claim was lost, UNAVAILABLE when the storage fails, what `reader` raises of the
    protocol's errors; FileExistsError, with nothing read, when somebody else has begun to write the object.
    """
    release_connection()
    try:
        if place.filled:
            blob_store().append(place.key, reader, place.filled)
        else:
            blob_store().write(place.key, reader)
    except FileExistsError:
        raise
    except RegistryError:
        _discard(place)
        raise
    except LostLeaseError as error:
        place.claim.spoiled_key = place.key
        raise range_error(upload) from error
    except SyncError as error:
        place.claim.spoiled_key = place.key
        raise not_taken(place.key, error) from error
    except Exception as error:
        _discard(place)
        raise not_taken(place.key, error) from error
    failpoint("upload.after_folder_fsync")


def not_taken(key: str, error: Exception) -> RegistryError:
    """Return the 503 for an object that the storage did not take, why in the log."""
    logger.error("the storage did not take an upload", extra={"key": key}, exc_info=error)
    return unavailable("the storage did not take the bytes")


def count(upload: Upload, received: Received) -> None:
    """Make the bytes part of the upload. Raises RANGE_INVALID when the claim was lost."""
    try:
        transactions.run(_count, received)
    except LostLeaseError as error:
        if not received.place.filled:
            received.place.claim.spoiled_key = received.place.key
        raise range_error(upload) from error
    failpoint("upload.after_count_commit")


def range_error(upload: Upload) -> RegistryError:
    """Return the 416 that says where the upload stands; the session stays usable."""
    offset = Upload.objects.filter(pk=upload.pk).values_list("offset", flat=True).first()
    if offset is None:
        return RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, {"uuid": str(upload.pk)})
    upload.offset = offset
    return RegistryError(ErrorCode.RANGE_INVALID, {"uuid": str(upload.pk), "offset": offset})


def name_first(upload: Upload) -> None:
    """Name the object of a new session's first bytes, in the transaction that opens it.

    Where a write replaces an object, nothing tells who comes second that it is begun: there each claim names its own.
    """
    if blob_store().is_disk:
        _INSERT.run(upload.pk, new_key(), 0)


def _claim(upload: Upload, claim: Claim, start: int) -> Place:
    """Claim the upload, and return where its next bytes go."""
    if not start and not upload.offset and blob_store().is_disk:
        with suppress(_NotNamedError):
            return transactions.run_volatile(_claim_first, upload, claim)
    return transactions.run(_claim_next, upload, claim, start)


def _claim_first(upload: Upload, claim: Claim) -> Place:
    """Claim the upload for the object that was named when it began: that name is durable, the claim need not be.

    Should a database that restarts forget the claim, the next one finds the object begun, and writes another.
    """
    is_clean = leases.take(claim, 0) and claim.is_clean
    key = _UNFINISHED.value(upload.pk) if is_clean else None
    if key is None:
        raise _NotNamedError
    return Place(claim, key, resumable_hash.start(upload.algorithm))


def _claim_next(upload: Upload, claim: Claim, start: int) -> Place:
    """Claim the upload, durably: two writers of one object must not come of a database that restarts."""
    if not leases.take(claim, start):
        raise range_error(upload)
    _discard_unfinished(upload)
    running = _hash_of(upload, start)
    last = _LAST.row(upload.pk) if blob_store().is_disk else None
    if last is not None and not last[2]:
        return Place(claim, last[0], running, last[1])
    if _COUNT.value(upload.pk) >= MAX_SEGMENTS:
        raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, f"an upload has at most {MAX_SEGMENTS} chunks here")
    key = new_key()
    _INSERT.run(upload.pk, key, start)
    return Place(claim, key, running)


def _store(upload: Upload, place: Place, body: Body) -> Received:
    failpoint("upload.after_claim")
    reader = HashingReader(body, place.hash, Growth(upload, place.claim, place.claim.offset).add)
    write(upload, place, reader)
    return Received(place, reader.size)


def _hash_of(upload: Upload, size: int) -> RunningHash | None:
    """Return the running hash of the upload, which has `size` bytes; None when only reading them tells."""
    if not size:
        return resumable_hash.start(upload.algorithm)
    return resumable_hash.resume(_HASH_STATE.value(upload.pk), upload.algorithm, size)


def _discard_unfinished(upload: Upload) -> None:
    """Throw away what a writer that died left behind."""
    keys = [key for (key,) in _UNFINISHED.rows(upload.pk)]
    if keys:
        trash.put(keys)
        _REMOVE_UNFINISHED.run(upload.pk)


def _check_size(upload: Upload, received: Received, body: Body, expected: int | None, *, keeps_prefix: bool) -> None:
    if not body.was_cut and expected in (None, received.size):
        return
    is_long = received.size >= MIN_PREFIX_BYTES and (expected is None or received.size <= expected)
    if body.was_cut and keeps_prefix and is_long:
        count(upload, received)
    else:
        _discard(received.place)
    detail = {"uuid": str(upload.pk), "received": received.size, "expected": expected or body.length}
    raise cut_error(body, detail)


def _discard(place: Place) -> None:
    """Give up what was written at the place; an object with bytes that count is as it was before, if possible."""
    if not (place.filled and _is_truncated(place)):
        place.claim.spoiled_key = place.key


def _is_truncated(place: Place) -> bool:
    """Cut the object back, durably and before the claim ends: nobody looks for more in it then."""
    try:
        blob_store().truncate(place.key, place.filled)
    except FileNotFoundError:
        # The session was cancelled, and its bytes are given back.
        return False
    except Exception:
        logger.exception("the storage did not cut an upload back", extra={"key": place.key})
        return False
    failpoint("upload.after_cut_back")
    return True


def _count(received: Received) -> None:
    """Raise LostLeaseError, which undoes all of it, for bytes that would be counted without their object."""
    place, size = received.place, received.place.filled + received.size
    if not received.size:
        leases.release(place.claim)
        if not place.filled:
            _trash(place.key)
    elif leases.advance(place.claim, received.size, resumable_hash.state_of(place.hash)):
        if not _FINISH.run(size, place.key):
            raise LostLeaseError
    elif not _IS_FINISHED.value(place.key, size):
        # Else an earlier attempt was committed, though the answer to its COMMIT got lost.
        raise LostLeaseError
    failpoint("upload.before_count_commit")


def _abandon(claim: Claim) -> None:
    """End the claim, if there is one still, and never without giving up the object that it has spoiled.

    An object with bytes that count is sealed, everything else thrown away. Nobody syncs it again: after an fsync that
    failed the kernel takes the pages for clean, the next fsync succeeds, and the bytes are lost all the same. The
    bytes that count were durable before. Completing the upload reads and hashes them, and writes them anew.
    """
    leases.release(claim)
    key = claim.spoiled_key
    if key is None or _SEAL_FINISHED.run(key):
        return
    # A COMMIT whose answer got lost may have made it a blob's.
    if not Blob.objects.filter(key=key).exists():
        Upload.objects.filter(pk=claim.upload_id, assembly_key=key).update(assembly_key=None)
        _trash(key)


def _trash(key: str) -> None:
    trash.put([key])
    remove(Segment.objects.filter(key=key))
