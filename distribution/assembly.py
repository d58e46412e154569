"""Make one object out of the segments of an upload, in the pass that hashes them."""

import io
import logging
from collections.abc import Iterable
from contextlib import closing
from typing import IO

from django.db.models.functions import Now

from distribution import leases, segments, transactions, trash
from distribution.content import Content
from distribution.digest import Digest, parse_digest
from distribution.failpoints import failpoint
from distribution.file_storage import CHUNK_BYTES
from distribution.hashing import HashingReader
from distribution.leases import Claim
from distribution.models import Segment, Upload
from distribution.storage import blob_store, new_key
from tokens.views.base import unavailable

logger = logging.getLogger(__name__)


class JoinedReader:
    """Read several objects one after the other."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Open nothing yet."""
        self._keys = iter(keys)
        self._file: IO[bytes] = io.BytesIO()

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, CHUNK_BYTES when it says none; none at the end."""
        while not (chunk := self._file.read(size if size >= 0 else CHUNK_BYTES)):
            self._file.close()
            key = next(self._keys, None)
            if key is None:
                return b""
            self._file = blob_store().open_at(key)
        return chunk

    def readinto(self, view: memoryview, /) -> int:
        """Do what `read` does, into `view`: not every storage's files can."""
        chunk = self.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Close the object that is being read."""
        self._file.close()


def assemble(upload: Upload, algorithm: str) -> Content:
    """Return everything that was appended as one durable object with its digest.

    An upload of one segment is that object already; of several, they are copied into a new one. Raises
    RANGE_INVALID while another request is writing, UNAVAILABLE when the storage fails.
    """
    parts = list(Segment.objects.filter(upload=upload, size__isnull=False).order_by("start"))
    if len(parts) == 1:
        return _single(upload, parts[0], algorithm)
    claim, key = transactions.run(_claim, upload)
    failpoint("upload.after_assembly_claim")
    with closing(JoinedReader(part.key for part in parts)) as joined:
        reader = HashingReader(joined, algorithm, claim.renew)
        segments.write(upload, claim, key, reader)
    failpoint("upload.after_assembly")
    return Content(key, reader.size, reader.digest, upload.offset, claim.lease)


def _single(upload: Upload, part: Segment, algorithm: str) -> Content:
    _check_object(part)
    digest = parse_digest(part.digest)
    if digest.algorithm != algorithm:
        digest = _digest_of(part.key, algorithm)
    return Content(part.key, part.size or 0, digest, upload.offset, None)


def _check_object(part: Segment) -> None:
    """Never publish bytes that the storage has lost since they came. Raises UNAVAILABLE."""
    try:
        size = blob_store().size(part.key)
    except Exception as error:
        logger.exception("the storage did not give an upload back", extra={"key": part.key})
        raise unavailable("the storage did not give the bytes back") from error
    if size != part.size:
        logger.error("an upload has lost bytes", extra={"key": part.key, "size": size, "expected": part.size})
        raise unavailable("the storage did not give the bytes back")


def _digest_of(key: str, algorithm: str) -> Digest:
    transactions.release_connection()
    try:
        with closing(JoinedReader([key])) as joined:
            reader = HashingReader(joined, algorithm)
            while reader.read():
                pass
    except Exception as error:
        logger.exception("the storage did not give an upload back", extra={"key": key})
        raise unavailable("the storage did not give the bytes back") from error
    return reader.digest


def _claim(upload: Upload) -> tuple[Claim, str]:
    claim = leases.take(upload.pk, upload.offset)
    if claim is None:
        raise segments.range_error(upload)
    row = Upload.objects.get(pk=upload.pk)
    if row.assembly_key:
        # Left by a worker that died while it assembled.
        trash.put([row.assembly_key])
    key = new_key()
    Upload.objects.filter(pk=upload.pk).update(assembly_key=key, active_at=Now())
    return claim, key
