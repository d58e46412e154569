"""JSON that a repository has as a blob, read within bounds and never from anywhere but the own storage."""

from http import HTTPStatus
from typing import Any

from core.api.errors import RegistryError
from core.blocking import blocking_io
from core.db.transactions import release_connection
from core.sizes import size_text
from distribution.models import Blob
from distribution.protocol.strict_json import parse_document
from distribution.storage.blob_store import MissingObjectError, blob_store
from distribution.storage.cloud import CloudError

MAX_BYTES = 8 * 1024 * 1024
# An SPDX document of 8 MiB has about 280,000. At worst, as many take 0.6 s and 90 MiB.
MAX_VALUES = 300_000
_BOM = b"\xef\xbb\xbf"


class UnreadableError(Exception):
    """A document that can't be shown; the message is the reason, a sentence for the visitor."""

    def __init__(self, reason: str, status: int = HTTPStatus.OK) -> None:
        super().__init__(reason)
        self.status = status


def read(repository: int, digest: str, max_bytes: int) -> bytes:
    """Return the bytes of a blob that the repository links. Raises UnreadableError."""
    return content(find(repository, digest, max_bytes))


def find(repository: int, digest: str, max_bytes: int) -> Blob:
    """Return a blob that the repository links. Raises UnreadableError."""
    blob = Blob.objects.filter(links__repository=repository, digest=digest, is_corrupt=False).first()
    if blob is None:
        raise UnreadableError("This repository does not have it.")
    if blob.size > max_bytes:
        raise UnreadableError(f"It has {size_text(blob.size)}; pages read at most {size_text(max_bytes)}.")
    return blob


def content(blob: Blob) -> bytes:
    """Return its bytes. Raises UnreadableError.

    The connection to the database is released before the storage is asked.
    """
    release_connection()
    read = bytearray()
    try:
        with blocking_io(), blob_store().open_at(blob.key, 0, blob.size) as file:
            while len(read) < blob.size and (piece := file.read(blob.size - len(read))):
                read += piece
    except (MissingObjectError, CloudError, OSError) as error:
        raise UnreadableError("The storage does not answer.", HTTPStatus.SERVICE_UNAVAILABLE) from error
    return bytes(read)


def parse(payload: bytes) -> dict[str, Any]:
    """Return the JSON object, of limited depth and number of values. Raises UnreadableError."""
    try:
        return parse_document(payload.removeprefix(_BOM), MAX_VALUES)
    except RegistryError as error:
        raise UnreadableError(f"It can't be read: {error.message}.") from error
