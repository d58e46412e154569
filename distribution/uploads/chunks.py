"""A chunk, the bytes of one request: their object is named by a row, written, made durable, then counted.

    claim ── last segment is not sealed ──> append to its object ─┐
          └─ otherwise                  ──> write a new object   ─┴─> fsync ──> COMMIT size, offset and hash state

A segment is the row of a run of bytes in one object. A storage that can't append gets a new object for each chunk.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import Error

from core.api.body import Body, incomplete_error
from core.api.errors import ErrorCode, RegistryError, unavailable
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import release_connection
from core.failpoints import failpoint
from distribution.models import Blob, Segment, Upload, remove
from distribution.protocol.digest import Digest, RunningHash
from distribution.protocol.spec import MAX_CHUNKS
from distribution.storage import trash
from distribution.storage.blob_store import Reader, blob_store, new_key
from distribution.storage.local import SyncError
from distribution.storage.stored_content import Content
from distribution.uploads import admission, leases, resumable_hash
from distribution.uploads.admission import Growth
from distribution.uploads.hashing_reader import HashingReader
from distribution.uploads.leases import Claim, LostLeaseError

logger = logging.getLogger(__name__)

# The prefix of an incomplete body is kept when resuming saves more than it costs.
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
    """The upload has no object that was named when it was opened and never written to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a claimed upload continues: in the object under `key`, behind its `filled` bytes that count.

    `hash` is the running hash of the whole upload, None when it is unknown.
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
        """Return the upload with these bytes, None unless one object has all of it and its hash is known."""
        place = self.place
        if place.filled != place.claim.offset or place.hash is None:
            return None
        digest = Digest(algorithm, place.hash.hexdigest())
        return Content(place.key, place.filled + self.size, digest, place.claim.offset, place.claim.lease)


@contextmanager
def claiming(upload: Upload) -> Iterator[Claim]:
    """Yield a claim for one request, to be taken by it; an exception gives the claim up.

    So the next request need not wait for the lease to run out. If giving up fails too, the lease runs out, and the
    request that takes the upload over trusts none of its objects.
    """
    claim = Claim(upload.pk)
    try:
        yield claim
    except Exception:
        failpoint("upload.before_abandon")
        with suppress(RegistryError, Error):
            transactions.run_volatile(_abandon, claim)
        raise
    finally:
        leases.heartbeat.end(claim)


def receive(
    upload: Upload, claim: Claim, body: Body, start: int, expected: int | None, *, keeps_prefix: bool = True
) -> Received:
    """Append the body durably at offset `start` and return it, the upload still claimed.

    `expected` is the size by Content-Range, None without one. With `keeps_prefix` a long prefix of an incomplete body
    is counted.
    Raises `conflict`; SIZE_INVALID when the body does not have its length; what `admission.check` raises; UNAVAILABLE
    when the storage fails.
    """
    place = _claim(upload, claim, start)
    leases.heartbeat.begin(claim)
    announced = body.length if body.length is not None else expected or 0
    admission.check(upload, claim.offset + announced, announced)
    try:
        received = _store(upload, place, body)
    except FileExistsError:
        # A small blob, which takes no lease, or a claim that a restarted database lost has begun the object. Nothing of
        # this body was read.
        received = _store(upload, transactions.run(_claim_next, upload, claim, start), body)
    _check_size(upload, received, body, expected, keeps_prefix=keeps_prefix)
    return received


def write(upload: Upload, place: Place, reader: Reader) -> None:
    """Store the bytes of `reader` at a place whose object a row of the claimed upload names.

    Raises `conflict` when the claim was lost, UNAVAILABLE when the storage fails, the RegistryErrors of `reader`;
    FileExistsError, with nothing read, when another request has begun to write the object.
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
        raise conflict(upload, place.claim.offset) from error
    except SyncError as error:
        place.claim.spoiled_key = place.key
        raise not_taken(place.key, error) from error
    except Exception as error:
        _discard(place)
        raise not_taken(place.key, error) from error
    failpoint("upload.after_folder_fsync")


def not_taken(key: str, error: Exception) -> RegistryError:
    """Log why the storage did not take an object, and return the 503."""
    logger.error("the storage did not take an upload", extra={"key": key}, exc_info=error)
    return unavailable("the storage did not take the bytes")


def count(upload: Upload, received: Received) -> None:
    """Make the bytes part of the upload. Raises `conflict` when the claim was lost."""
    try:
        transactions.run(_count, received)
    except LostLeaseError as error:
        if not received.place.filled:
            received.place.claim.spoiled_key = received.place.key
        raise conflict(upload, received.place.claim.offset) from error
    failpoint("upload.after_count_commit")


def conflict(upload: Upload, start: int) -> RegistryError:
    """Return why a request can't write at offset `start`; the session stays usable.

    A 416 has the upload's current offset, where the client continues. At that offset another request is writing, or
    has died: a 503, since the same request succeeds once the other has ended or its lease has run out.
    """
    offset = Upload.objects.filter(pk=upload.pk).values_list("offset", flat=True).first()
    if offset is None:
        return RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, {"uuid": str(upload.pk)})
    upload.offset = offset
    if offset == start:
        return busy()
    return RegistryError(ErrorCode.RANGE_INVALID, {"uuid": str(upload.pk), "offset": offset})


def busy() -> RegistryError:
    """Return the 503 for a session that another request has claimed."""
    return unavailable("another request is writing to this upload")


def name_first(upload: Upload) -> None:
    """Name the object of a new session's first bytes, in the transaction that opens it.

    Where a write replaces an object, a second writer would not notice the first: there each claim names its own object.
    """
    if blob_store().is_disk:
        upload.first_key = new_key()
        _INSERT.run(upload.pk, upload.first_key, 0)


def _claim(upload: Upload, claim: Claim, start: int) -> Place:
    if not start and not upload.offset and blob_store().is_disk:
        with suppress(_NotNamedError):
            return transactions.run_volatile(_claim_first, upload, claim)
    return transactions.run(_claim_next, upload, claim, start)


def _claim_first(upload: Upload, claim: Claim) -> Place:
    """Claim the upload for the object that was named when it was opened: that name is durable, the claim need not be.

    If a database that restarts loses the claim, the next one finds the object begun, and writes another.
    """
    is_clean = leases.take(claim, 0) and claim.is_clean
    key = _UNFINISHED.value(upload.pk) if is_clean else None
    if key is None:
        raise _NotNamedError
    return Place(claim, key, resumable_hash.start(upload.algorithm))


def _claim_next(upload: Upload, claim: Claim, start: int) -> Place:
    """Claim the upload, durably: a database that restarts must not lead to two writers of one object."""
    if not leases.take(claim, start):
        raise conflict(upload, start)
    # Left behind by a writer that died.
    if unfinished := [key for (key,) in _UNFINISHED.rows(upload.pk)]:
        trash.put(unfinished)
        _REMOVE_UNFINISHED.run(upload.pk)
    # None when the hash takes another pass over the bytes.
    running = (
        resumable_hash.resume(_HASH_STATE.value(upload.pk), upload.algorithm, start)
        if start
        else resumable_hash.start(upload.algorithm)
    )
    last = _LAST.row(upload.pk) if blob_store().is_disk else None
    if last is not None and not last[2]:
        return Place(claim, last[0], running, last[1])
    if _COUNT.value(upload.pk) >= MAX_CHUNKS:
        raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, f"an upload has at most {MAX_CHUNKS} chunks here")
    key = new_key()
    _INSERT.run(upload.pk, key, start)
    return Place(claim, key, running)


def _store(upload: Upload, place: Place, body: Body) -> Received:
    failpoint("upload.after_claim")
    reader = HashingReader(body, place.hash, Growth(upload, place.claim, place.claim.offset).add)
    write(upload, place, reader)
    return Received(place, reader.size)


def _check_size(upload: Upload, received: Received, body: Body, expected: int | None, *, keeps_prefix: bool) -> None:
    if not body.is_incomplete and expected in (None, received.size):
        return
    is_long = received.size >= MIN_PREFIX_BYTES and (expected is None or received.size <= expected)
    if body.is_incomplete and keeps_prefix and is_long:
        count(upload, received)
    else:
        _discard(received.place)
    detail = {"uuid": str(upload.pk), "received": received.size, "expected": expected or body.length}
    raise incomplete_error(body, detail)


def _discard(place: Place) -> None:
    """Discard what was written at the place: truncate the object to the bytes that count, or mark it spoiled.

    Truncated durably and before the claim ends: later claims do not look for further bytes.
    """
    if place.filled:
        try:
            blob_store().truncate(place.key, place.filled)
        except FileNotFoundError:
            # The session was cancelled, and its objects are deleted.
            pass
        except Exception:
            logger.exception("the storage did not truncate an upload", extra={"key": place.key})
        else:
            failpoint("upload.after_cut_back")
            return
    place.claim.spoiled_key = place.key


def _count(received: Received) -> None:
    """Raise LostLeaseError, which rolls everything back, for bytes that would be counted without their object."""
    place, size = received.place, received.place.filled + received.size
    if not received.size:
        leases.release(place.claim)
        if not place.filled:
            _trash(place.key)
    elif leases.advance(place.claim, received.size, resumable_hash.state_of(place.hash)):
        if not _FINISH.run(size, place.key):
            raise LostLeaseError
    elif not _IS_FINISHED.value(place.key, size):
        # Otherwise an earlier attempt was committed, though the answer to its COMMIT was lost.
        raise LostLeaseError
    failpoint("upload.before_count_commit")


def _abandon(claim: Claim) -> None:
    """End the claim, if it stands, and discard the object that it has spoiled.

    An object with bytes that count is sealed instead: after a failed fsync the kernel takes the pages for clean, the
    next fsync succeeds, and the bytes are lost all the same. The bytes that count were durable before; completing the
    upload reads and hashes them, and copies them to a new object.
    """
    leases.release(claim)
    key = claim.spoiled_key
    if key is None or _SEAL_FINISHED.run(key):
        return
    # It is a blob's object if the answer to the COMMIT that published it was lost.
    if not Blob.objects.filter(key=key).exists():
        Upload.objects.filter(pk=claim.upload_id, assembly_key=key).update(assembly_key=None)
        _trash(key)


def _trash(key: str) -> None:
    trash.put([key])
    remove(Segment.objects.filter(key=key))
