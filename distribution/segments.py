"""One request's bytes of an upload: named by a row, written, made durable, counted."""

import logging
from dataclasses import dataclass

from accounts.statement import Statement
from distribution import leases, transactions, trash
from distribution.digest import Digest
from distribution.failpoints import failpoint
from distribution.hashing import HashingReader
from distribution.leases import Claim, LostLeaseError
from distribution.models import Blob, Segment, Upload, remove
from distribution.spec import MAX_SEGMENTS
from distribution.storage import Reader, blob_store, new_key
from tokens.body import Body, cut_error
from tokens.errors import ErrorCode, RegistryError
from tokens.views.base import unavailable

logger = logging.getLogger(__name__)

# What arrived before a connection broke is kept when resuming saves more than it costs.
MIN_PREFIX_BYTES = 1024 * 1024


_INSERT = Statement("INSERT INTO distribution_segment (upload_id, key, start, digest) VALUES (%s, %s, %s, '')")
_UNFINISHED = Statement("SELECT key FROM distribution_segment WHERE upload_id = %s AND size IS NULL")
_COUNT = Statement("SELECT count(*) FROM distribution_segment WHERE upload_id = %s")
_FINISH = Statement("UPDATE distribution_segment SET size = %s, digest = %s WHERE key = %s")


class _NotNamedError(Exception):
    """The upload has no object that was named and never written to."""


@dataclass(frozen=True, slots=True)
class Received:
    """An object that is durable under `key` but not yet counted as part of its upload."""

    claim: Claim
    key: str
    size: int
    digest: Digest


def receive(upload: Upload, body: Body, start: int, expected: int | None, *, may_be_first: bool = True) -> Received:
    """Write the body into an object of its own and return it, the upload still claimed.

    `start` is the offset it belongs to; `expected` the size that Content-Range promised, None without one. Unless it
    `may_be_first`, the object that was named with the session is left alone: somebody has begun to write it.
    Raises RANGE_INVALID when the upload stands elsewhere or another request is writing; SIZE_INVALID when
    the body is not as long as it said; UNAVAILABLE when the storage fails.
    """
    claim, key = _claim(upload, start, may_be_first=may_be_first)
    failpoint("upload.after_claim")
    reader = HashingReader(body, upload.algorithm, claim.renew)
    try:
        write(upload, claim, key, reader)
    except FileExistsError:
        if not may_be_first:
            raise
        # A short body, which claims nothing, was here before. Nothing of this one was read yet.
        return receive(upload, body, start, expected, may_be_first=False)
    received = Received(claim, key, reader.size, reader.digest)
    _check_size(upload, received, body, expected)
    return received


def write(upload: Upload, claim: Claim, key: str, reader: Reader) -> None:
    """Store what `reader` gives under `key`, which a row of the claimed upload names.

    Raises RANGE_INVALID when the claim was lost, UNAVAILABLE when the storage fails, FileExistsError when somebody has
    begun to write the object; the upload is free then.
    """
    transactions.release_connection()
    try:
        blob_store().write(key, reader)
    except LostLeaseError as error:
        abandon(claim, key)
        raise range_error(upload) from error
    except FileExistsError:
        abandon(claim, key)
        raise
    except Exception as error:
        logger.exception("the storage did not take an upload", extra={"key": key})
        abandon(claim, key)
        raise unavailable("the storage did not take the bytes") from error
    failpoint("upload.after_folder_fsync")


def count(upload: Upload, received: Received) -> None:
    """Make the object the upload's next segment. Raises RANGE_INVALID when the claim was lost."""
    if not transactions.run(_count, received):
        raise range_error(upload)
    failpoint("upload.after_count_commit")


def abandon(claim: Claim, key: str) -> None:
    """Throw the object away and free the upload, if it is still claimed."""
    failpoint("upload.before_abandon")
    transactions.run(_abandon, claim, key)


def range_error(upload: Upload) -> RegistryError:
    """Return the 416 that says where the upload stands; the session stays usable."""
    offset = Upload.objects.filter(pk=upload.pk).values_list("offset", flat=True).first()
    if offset is None:
        return RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, {"uuid": str(upload.pk)})
    upload.offset = offset
    return RegistryError(ErrorCode.RANGE_INVALID, {"uuid": str(upload.pk), "offset": offset})


def name_first(upload: Upload) -> None:
    """Name the object of a new session's first bytes, in the transaction that opens it."""
    _INSERT.run(upload.pk, new_key(), 0)


def _claim(upload: Upload, start: int, *, may_be_first: bool) -> tuple[Claim, str]:
    """Claim the upload, and return the key of an object that is to be written."""
    if may_be_first and not start and not upload.offset:
        try:
            return transactions.run_volatile(_claim_first, upload)
        except _NotNamedError:
            pass
    return transactions.run(_claim_next, upload, start)


def _claim_first(upload: Upload) -> tuple[Claim, str]:
    """Claim the upload for the object that was named when it began: that name is durable, the claim need not be."""
    claim = leases.take(upload.pk, 0)
    key = _UNFINISHED.value(upload.pk) if claim is not None and claim.is_clean else None
    if claim is None or key is None:
        raise _NotNamedError
    return claim, key


def _claim_next(upload: Upload, start: int) -> tuple[Claim, str]:
    claim = leases.take(upload.pk, start)
    if claim is None:
        raise range_error(upload)
    _discard_unfinished(upload)
    if _COUNT.value(upload.pk) >= MAX_SEGMENTS:
        raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, f"an upload has at most {MAX_SEGMENTS} chunks")
    key = new_key()
    _INSERT.run(upload.pk, key, start)
    return claim, key


def _discard_unfinished(upload: Upload) -> None:
    """Throw away what a writer that died left behind."""
    unfinished = Segment.objects.filter(upload=upload, size__isnull=True)
    keys = list(unfinished.values_list("key", flat=True))
    if keys:
        trash.put(keys)
        remove(Segment.objects.filter(key__in=keys))


def _check_size(upload: Upload, received: Received, body: Body, expected: int | None) -> None:
    if not body.was_cut and expected in (None, received.size):
        return
    keep = body.was_cut and received.size >= MIN_PREFIX_BYTES and (expected is None or received.size <= expected)
    if keep:
        count(upload, received)
    else:
        abandon(received.claim, received.key)
    detail = {"uuid": str(upload.pk), "received": received.size, "expected": expected or body.length}
    raise cut_error(body, detail)


def _count(received: Received) -> bool:
    if not leases.advance(received.claim, received.size):
        if Segment.objects.filter(key=received.key, size__isnull=False).exists():
            # An earlier attempt was committed, though the answer to its COMMIT got lost.
            return True
        _trash(received.key)
        return False
    if received.size:
        _FINISH.run(received.size, str(received.digest), received.key)
    else:
        _trash(received.key)
    failpoint("upload.before_count_commit")
    return True


def _abandon(claim: Claim, key: str) -> None:
    leases.advance(claim, 0)
    # A COMMIT whose answer got lost may have made it a blob's.
    if not Blob.objects.filter(key=key).exists():
        Upload.objects.filter(pk=claim.upload_id, assembly_key=key).update(assembly_key=None)
        _trash(key)


def _trash(key: str) -> None:
    trash.put([key])
    remove(Segment.objects.filter(key=key))
