"""The content of blobs, read through the storage: what decides about a pull is never redirected."""

import logging
from contextlib import closing

from core.api.errors import ErrorCode, RegistryError, unavailable
from core.db.transactions import release_connection
from distribution import blobs, queries
from distribution.protocol.digest import parse_digest
from distribution.queries import FoundBlob

logger = logging.getLogger(__name__)


def whole(name: str, digest: str, limit: int) -> bytes | None:
    """Return a blob of the repository; None if it is missing, or larger than `limit`. Raises UNAVAILABLE."""
    found = _found(name, digest)
    return None if found is None or found.size > limit else _read(found, found.size)


def beginning(name: str, digest: str, size: int) -> bytes | None:
    """Return at most the first `size` bytes of a blob of the repository, None without one. Raises UNAVAILABLE."""
    found = _found(name, digest)
    return None if found is None else _read(found, min(size, found.size))


def _found(name: str, digest: str) -> FoundBlob | None:
    try:
        return queries.blob(name, parse_digest(digest))
    except RegistryError as error:
        if error.code is not ErrorCode.DIGEST_INVALID:
            raise
        return None


def _read(found: FoundBlob, size: int) -> bytes:
    release_connection()
    content = bytearray()
    with closing(blobs.open_at(found, 0, size)) as file:
        try:
            while len(content) < size and (piece := file.read(size - len(content))):
                content += piece
        except Exception as error:
            logger.exception("the storage did not answer", extra={"key": found.key})
            raise unavailable("the storage does not answer") from error
    return bytes(content)
