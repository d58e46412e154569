"""Who is writing to an upload: one request at a time, whatever process it is in.

A claim is a compare-and-set on offset and lease. The lease is renewed while bytes arrive, so the upload of a
worker that died is free again LEASE after its last bytes.
"""

import logging
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import OperationalError
from django.db.models import Q
from django.db.models.functions import Now

from distribution import transactions
from distribution.models import Upload

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0


class LostLeaseError(Exception):
    """Another request took the upload over, or it was cancelled."""


@dataclass(slots=True)
class Claim:
    """The right to write to one upload from `offset` on."""

    upload_id: uuid.UUID
    offset: int
    lease: uuid.UUID
    renewed_at: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Keep the claim, at most once in RENEW_SECONDS. Raises LostLeaseError."""
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return
        self.renewed_at = time.monotonic()
        try:
            kept = Upload.objects.filter(pk=self.upload_id, lease=self.lease).update(
                leased_until=Now() + LEASE, active_at=Now()
            )
        except OperationalError:
            # A database that is busy or restarts ends no upload: whether the claim still stands is asked at its end.
            logger.warning("could not renew a claim", extra={"upload": str(self.upload_id)}, exc_info=True)
            transactions.drop_broken_connection()
            return
        transactions.release_connection()
        if not kept:
            raise LostLeaseError


def free() -> Q:
    """Return the condition that nobody is writing."""
    return Q(leased_until__isnull=True) | Q(leased_until__lt=Now())


def take(upload_id: uuid.UUID, offset: int) -> Claim | None:
    """Claim the upload, when it stands at `offset` and nobody is writing; None otherwise."""
    claim = Claim(upload_id, offset, uuid.uuid4())
    taken = Upload.objects.filter(free(), pk=upload_id, offset=offset).update(
        lease=claim.lease, leased_until=Now() + LEASE, active_at=Now()
    )
    return claim if taken else None


def advance(claim: Claim, size: int) -> bool:
    """Add `size` bytes to the upload and end the claim; False when the claim was lost."""
    return bool(
        Upload.objects.filter(pk=claim.upload_id, lease=claim.lease).update(
            offset=claim.offset + size, lease=None, leased_until=None, active_at=Now()
        )
    )
