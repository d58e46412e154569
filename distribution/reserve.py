"""The space that uploads leave free on the storage's disk.

On a full disk SQLite refuses DELETE too, so that collection could free nothing.
"""

import logging
from dataclasses import dataclass

from django.conf import settings

from distribution.size import size_text
from distribution.storage import blob_store
from tokens.errors import ErrorCode, RegistryError
from tokens.views.base import unavailable

logger = logging.getLogger(__name__)

_REASON = (
    "the disk of the registry has less space free than storage.min_free keeps: "
    "delete what is not needed and run the garbage collector, or make the disk larger"
)


@dataclass(frozen=True, slots=True)
class Space:
    """What is free on the disk, and what of it stays free, in bytes."""

    free: int
    reserve: int

    @property
    def is_low(self) -> bool:
        """Tell whether uploads are refused."""
        return self.free < self.reserve


def space() -> Space | None:
    """Return the space on the storage's disk, None for a cloud, which has no end. Raises OSError."""
    disk = blob_store().disk()
    if disk is None:
        return None
    reserve = settings.REGISTRY.storage.min_free.of(disk.f_blocks * disk.f_frsize)
    # What an account that is not root may use.
    return Space(disk.f_bavail * disk.f_frsize, reserve)


def check() -> None:
    """Let an upload begin. Raises DENIED while the space is low, UNAVAILABLE when the disk does not answer."""
    try:
        found = space()
    except OSError as error:
        logger.exception("the storage did not answer")
        raise unavailable("the storage does not answer") from error
    if found is not None and found.is_low:
        logger.warning("upload refused: the disk is full", extra={"free": found.free, "reserve": found.reserve})
        detail = {"reason": _REASON, "free_bytes": found.free, "reserve_bytes": found.reserve}
        # All that podman prints.
        sizes = f"{size_text(found.free)} free, {size_text(found.reserve)} kept free by storage.min_free"
        raise RegistryError(ErrorCode.DENIED, detail, message=f"the disk of the registry is full: {sizes}")
