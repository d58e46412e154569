"""Who is writing to an upload: one request at a time, whatever process it is in.

A claim is a compare-and-set on offset and lease. The lease is renewed while bytes arrive, so the upload of a
worker that died is free again LEASE after its last bytes.
"""

import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from accounts.statement import Statement
from distribution import deferred
from distribution.failpoints import failpoint

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0

_CLAIM = """
UPDATE distribution_upload
SET lease = %s, leased_until = statement_timestamp() + interval '{seconds:.0f} seconds',
    active_at = statement_timestamp()
WHERE id = %s AND "offset" = %s AND {condition}
"""
_TAKE = Statement(_CLAIM.format(seconds=LEASE.total_seconds(), condition="lease IS NULL"))
_TAKE_OVER = Statement(_CLAIM.format(seconds=LEASE.total_seconds(), condition="leased_until < statement_timestamp()"))
_SEAL = Statement("UPDATE distribution_segment SET is_sealed = TRUE WHERE upload_id = %s")
_RENEWAL = """
UPDATE distribution_upload
SET leased_until = statement_timestamp() + interval '{seconds:.0f} seconds', active_at = statement_timestamp()
WHERE id = %s AND lease = %s
"""
_RENEW = Statement(_RENEWAL.format(seconds=LEASE.total_seconds()))
_ADVANCE = Statement("""
UPDATE distribution_upload
SET "offset" = %s, chunk_start = "offset", hash_state = %s,
    lease = NULL, leased_until = NULL, active_at = statement_timestamp()
WHERE id = %s AND lease = %s
""")
_RELEASE = Statement("""
UPDATE distribution_upload
SET lease = NULL, leased_until = NULL, active_at = statement_timestamp()
WHERE id = %s AND lease = %s
""")


class LostLeaseError(Exception):
    """Another request took the upload over, or it was cancelled."""


@dataclass(slots=True)
class Claim:
    """The right to write to one upload from `offset` on."""

    upload_id: uuid.UUID
    offset: int
    lease: uuid.UUID
    is_clean: bool = True
    renewed_at: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Keep the claim, at most once in RENEW_SECONDS. Raises LostLeaseError."""
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return
        self.renewed_at = time.monotonic()
        # A database that is busy or restarts ends no upload: whether the claim still stands is asked at its end.
        if deferred.write(_RENEW, self.upload_id, self.lease) == 0:
            raise LostLeaseError


def free() -> Q:
    """Return the condition that nobody is writing."""
    return Q(leased_until__isnull=True) | Q(leased_until__lt=Now())


def take(upload_id: uuid.UUID, offset: int) -> Claim | None:
    """Claim the upload, when it stands at `offset` and nobody is writing; None otherwise.

    `is_clean` tells that no writer was left behind. One that was may only be stuck, and write when it wakes: every
    segment is sealed against it.
    """
    lease = uuid.uuid4()
    if _TAKE.run(lease, upload_id, offset):
        return Claim(upload_id, offset, lease)
    if not _TAKE_OVER.run(lease, upload_id, offset):
        return None
    _SEAL.run(upload_id)
    failpoint("upload.before_take_over_commit")
    return Claim(upload_id, offset, lease, is_clean=False)


def advance(claim: Claim, size: int, hash_state: bytes | None) -> bool:
    """Add a chunk of `size` bytes to the upload and end the claim; False when the claim was lost."""
    if not size:
        return release(claim)
    return bool(_ADVANCE.run(claim.offset + size, hash_state, claim.upload_id, claim.lease))


def release(claim: Claim) -> bool:
    """End the claim, the upload as it was; False when the claim was lost."""
    return bool(_RELEASE.run(claim.upload_id, claim.lease))
