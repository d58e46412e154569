"""Admission control: the limits of an upload, checked before its body is read and again for each piece of it.

Every limit is checked here: the size of a blob, its quotas, the free space on the disk. A check that takes more than a
microsecond runs every few mebibytes.
"""

from dataclasses import dataclass

from django.conf import settings

from core.api.errors import ErrorCode, RegistryError
from core.sizes import size_text
from distribution.models import Upload
from distribution.storage import disk_reserve
from distribution.uploads.leases import Claim


def check(upload: Upload, size: int, more: int) -> None:
    """Check whether `more` bytes, `size` in all, may be written. Raises SIZE_INVALID, 413; DENIED; UNAVAILABLE.

    SIZE_INVALID and DENIED end the session.
    """
    limit = settings.REGISTRY.storage.max_blob_size
    if limit is not None and size > limit:
        message = f"a blob has at most {size_text(limit)} here (storage.max_blob_size)"
        raise RegistryError(ErrorCode.SIZE_INVALID, {"limit_bytes": limit}, status=413, message=message)
    if upload.bound is not None:
        upload.bound.require(size)
    disk_reserve.check_room(more)


@dataclass(slots=True)
class Growth:
    """Checks each further piece of an upload that has `size` bytes so far, and its claim."""

    upload: Upload
    claim: Claim
    size: int

    def add(self, piece: int) -> None:
        """Count a piece that is about to be written. Raises LostLeaseError, and what `check` raises."""
        self.claim.check()
        self.size += piece
        check(self.upload, self.size, piece)
