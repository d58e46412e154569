"""May these bytes be stored? Asked before a body is read, for what it announces, and for each piece of it.

What bounds an upload is asked here and nowhere else: the size of a blob, the room on the disk. What bounds an account
belongs here too; the upload says whose it is. A question that costs more than a microsecond is for every few mebibytes.
"""

from django.conf import settings

from core.api.errors import ErrorCode, RegistryError
from core.sizes import size_text
from distribution.models import Upload
from distribution.storage import disk_reserve
from distribution.uploads.leases import Claim


def check(_upload: Upload, size: int, more: int) -> None:
    """Let `more` bytes be written, with which the upload has `size`. Raises SIZE_INVALID, 413; DENIED; UNAVAILABLE.

    SIZE_INVALID and DENIED end the session.
    """
    limit = settings.REGISTRY.storage.max_blob_size
    if limit is not None and size > limit:
        message = f"a blob has at most {size_text(limit)} here (storage.max_blob_size)"
        raise RegistryError(ErrorCode.SIZE_INVALID, {"limit_bytes": limit}, status=413, message=message)
    disk_reserve.check_room(more)


class Growth:
    """An upload that gets longer, piece by piece, as long as it may and its claim stands."""

    def __init__(self, upload: Upload, claim: Claim, size: int) -> None:
        """Have `size` bytes so far."""
        self._upload, self._claim, self._size = upload, claim, size

    def add(self, piece: int) -> None:
        """Count a piece that is about to be written. Raises LostLeaseError, and what `check` raises."""
        self._claim.renew()
        self._size += piece
        check(self._upload, self._size, piece)
