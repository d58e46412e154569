"""Assemble an upload into one object: usually it is one already, and its hash is known.

one segment, not sealed, its object exactly as long as the upload   ──> that object, without a copy
everything else                                                     ──> a copy, hashed again on the way
"""

import io
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO

from django.db.models.functions import Now

from core.api.errors import RegistryError, unavailable
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import release_connection
from core.failpoints import failpoint
from distribution.models import Upload
from distribution.protocol.digest import Digest, RunningHash
from distribution.storage import trash
from distribution.storage.blob_store import blob_store, new_key
from distribution.storage.cloud import Piece, Span
from distribution.storage.local import CHUNK_BYTES
from distribution.storage.stored_content import Content
from distribution.uploads import chunks, leases, resumable_hash
from distribution.uploads.admission import Growth
from distribution.uploads.chunks import Place
from distribution.uploads.hashing_reader import HashingReader, read_to_end
from distribution.uploads.leases import Claim, LostLeaseError

logger = logging.getLogger(__name__)

# One row for each segment, with the upload's columns.
_FIND = Statement("""
SELECT upload.hash_state, upload.chunk_start, upload.lease IS NULL, upload.leased_until > statement_timestamp(),
    segment.key, segment.size, segment.is_sealed
FROM distribution_upload upload
LEFT JOIN distribution_segment segment ON segment.upload_id = upload.id AND segment.size IS NOT NULL
WHERE upload.id = %s AND upload."offset" = %s
ORDER BY segment.start
""")


class JoinedReader:
    """Read spans of objects one after the other. Raises UNAVAILABLE, with the reason logged, when bytes are lost."""

    def __init__(self, spans: list[Span]) -> None:
        self._spans = iter(spans)
        self._span = Span("", 0, 0)
        self._left = 0
        self._file: IO[bytes] = io.BytesIO()

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, CHUNK_BYTES without a size; none at the end."""
        try:
            return self._read(size if size >= 0 else CHUNK_BYTES)
        except Exception as error:
            raise _unreadable(self._span.key, error) from error

    def readinto(self, view: memoryview, /) -> int:
        # By `read`: the files of some storages have no `readinto`.
        chunk = self.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._file.close()

    def _read(self, size: int) -> bytes:
        while not self._left:
            self._file.close()
            span = next(self._spans, None)
            if span is None:
                return b""
            self._span, self._left = span, span.end - span.first
            self._file = blob_store().open_at(span.key, span.first, self._left)
        chunk = self._file.read(min(size, self._left))
        if not chunk:
            raise EOFError(f"{self._left} bytes that count are not there")
        self._left -= len(chunk)
        return chunk


@dataclass(frozen=True, slots=True)
class _Stored:
    """An upload's bytes that count, as spans of objects, with their hash state and the start of the last chunk."""

    upload: Upload
    spans: list[Span]
    hash_state: bytes | None
    chunk_start: int
    may_be_published: bool

    def known_digest(self, algorithm: str) -> Digest | None:
        """Return the digest of all bytes by the hash state, None if that takes a pass over them."""
        running = resumable_hash.resume(self.hash_state, algorithm, self.upload.offset)
        return None if running is None else Digest(algorithm, running.hexdigest())

    def without_repetition(self) -> Iterator[list[Span]]:
        """Yield the bytes without a last chunk that was sent twice: all but that chunk, and only that chunk."""
        if self.chunk_start:
            yield list(self._between(0, self.chunk_start))
            yield list(self._between(self.chunk_start, self.upload.offset))

    def _between(self, start: int, end: int) -> Iterator[Span]:
        at = 0
        for span in self.spans:
            first, last = max(start - at, 0), min(end - at, span.end)
            if first < last:
                yield Span(span.key, first, last)
            at += span.end


def assemble(upload: Upload, claim: Claim, digest: Digest) -> Content:
    """Return the whole upload as one durable object, if it has the digest.

    A client that got no answer to its last PATCH may have sent it again, indistinguishable from another chunk: the
    bytes without that chunk are returned if those have the digest. Only an upload with a wrong digest waits for the
    additional pass over the bytes.

    Raises `chunks.conflict`, UNAVAILABLE when the storage fails or has lost bytes, DIGEST_INVALID.
    """
    stored = _find(upload)
    known = stored.known_digest(digest.algorithm)
    actual = known or _digest_of(stored.spans, digest.algorithm)
    if actual == digest:
        content = _in_place(stored, digest)
        # The stored hash state is the proof of the digest, as for an upload in one object.
        if content is None and known and blob_store().is_cloud:
            content = _joined(upload, claim, stored.spans, digest)
        return content or _copy(upload, claim, stored.spans, digest)
    for spans in stored.without_repetition():
        if _digest_of(spans, digest.algorithm) == digest:
            return _copy(upload, claim, spans, digest)
    raise digest.mismatch(actual)


def _find(upload: Upload) -> _Stored:
    rows = _FIND.rows(upload.pk, upload.offset)
    if not rows:
        raise chunks.conflict(upload, upload.offset)
    hash_state, chunk_start, is_free, is_leased, *_ = rows[0]
    if is_leased:
        raise chunks.conflict(upload, upload.offset)
    segment_rows = [row[4:] for row in rows if row[4]]
    spans = [Span(key, 0, size) for key, size, _ in segment_rows]
    may_be_published = bool(is_free) and [bool(is_sealed) for _, _, is_sealed in segment_rows] == [False]
    return _Stored(upload, spans, hash_state, chunk_start, may_be_published)


def _in_place(stored: _Stored, digest: Digest) -> Content | None:
    """Return the one object with the whole upload, None when there are several or another writer may add to it.

    It is longer than the upload when a power cut undid its truncation. Raises UNAVAILABLE when it is shorter: never
    publish bytes that the storage has lost since they arrived.
    """
    if not stored.may_be_published:
        return None
    key, offset = stored.spans[0].key, stored.upload.offset
    release_connection()
    try:
        size = blob_store().size(key)
    except Exception as error:
        raise _unreadable(key, error) from error
    if size < offset:
        raise _unreadable(key, EOFError(f"{offset - size} bytes that count are not there"))
    return Content(key, size, digest, offset, None) if size == offset else None


def _joined(upload: Upload, claim: Claim, spans: list[Span], digest: Digest) -> Content | None:
    """Return the whole upload as one object that a cloud joined from those of its chunks, None when it can't.

    No byte is read again.
    """
    running = resumable_hash.start(digest.algorithm)
    place = transactions.run(_claim, upload, claim, running)
    leases.heartbeat.begin(claim)
    failpoint("upload.after_assembly_claim")
    growth = Growth(upload, claim, upload.offset)
    pieces = [Piece(span.key, span.end) for span in spans]
    release_connection()
    try:
        is_joined = blob_store().join(pieces, place.key, lambda: growth.add(0))
        size = blob_store().size(place.key) if is_joined else 0
    except LostLeaseError as error:
        claim.spoiled_key = place.key
        raise chunks.conflict(upload, upload.offset) from error
    except RegistryError:
        claim.spoiled_key = place.key
        raise
    except Exception as error:
        claim.spoiled_key = place.key
        raise _unreadable(place.key, error) from error
    if not is_joined:
        return None
    failpoint("upload.after_assembly")
    if size != upload.offset:
        claim.spoiled_key = place.key
        raise _unreadable(place.key, EOFError(f"{size} bytes were joined instead of {upload.offset}"))
    return Content(place.key, size, digest, upload.offset, claim.lease)


def _copy(upload: Upload, claim: Claim, spans: list[Span], digest: Digest) -> Content:
    """Copy the bytes, which have the digest, into one new object.

    Raises UNAVAILABLE when they no longer have it; what `Growth` raises, since the copy needs space too.
    """
    running = resumable_hash.start(digest.algorithm)
    place = transactions.run(_claim, upload, claim, running)
    leases.heartbeat.begin(claim)
    failpoint("upload.after_assembly_claim")
    with closing(JoinedReader(spans)) as joined:
        reader = HashingReader(joined, running, Growth(upload, claim, 0).add)
        chunks.write(upload, place, reader)
    failpoint("upload.after_assembly")
    if running.hexdigest() != digest.encoded:
        claim.spoiled_key = place.key
        raise _unreadable(place.key, ValueError("the bytes have changed since they came"))
    return Content(place.key, reader.size, digest, upload.offset, claim.lease)


def _claim(upload: Upload, claim: Claim, running: RunningHash) -> Place:
    if not leases.take(claim, upload.offset):
        raise chunks.conflict(upload, upload.offset)
    row = Upload.objects.get(pk=upload.pk)
    if row.assembly_key:
        # Left by a request that failed or died while it assembled.
        trash.put([row.assembly_key])
    key = new_key()
    Upload.objects.filter(pk=upload.pk).update(assembly_key=key, active_at=Now())
    return Place(claim, key, running)


def _digest_of(spans: list[Span], algorithm: str) -> Digest:
    release_connection()
    running = resumable_hash.start(algorithm)
    with closing(JoinedReader(spans)) as joined:
        read_to_end(joined, running)
    return Digest(algorithm, running.hexdigest())


def _unreadable(key: str, error: Exception) -> RegistryError:
    logger.error("the storage did not give an upload back", extra={"key": key}, exc_info=error)
    return unavailable("the storage did not give the bytes back")
