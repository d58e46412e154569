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

from core.db.statement import Statement
from core.failpoints import failpoint
from distribution import deferred_writes

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0

_CLAIM = """
UPDATE distribution_upload
SET lease = %s, leased_until = statement_timestamp() + interval '{seconds:.0f} seconds',
    active_at = statement_timestamp()
WHERE id = %s AND "offset" = %s AND {condition}
"""
_TAKE = Statement(_CLAIM.format(seconds=LEASE.total_seconds(), condition="(lease IS NULL OR lease = %s)"))
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
    """The right of one request to write to one upload from `offset` on, once it was taken.

    `is_clean` tells that no writer was left behind. `spoiled_key` is of an object that can't be trusted any more.
    """

    upload_id: uuid.UUID
    lease: uuid.UUID = field(default_factory=uuid.uuid4)
    offset: int = 0
    is_clean: bool = True
    spoiled_key: str | None = None
    renewed_at: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Keep the claim, at most once in RENEW_SECONDS. Raises LostLeaseError."""
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return
        self.renewed_at = time.monotonic()
        # A database that is busy or restarts ends no upload: whether the claim still stands is asked at its end.
        if deferred_writes.write(_RENEW, self.upload_id, self.lease) == 0:
            raise LostLeaseError


def free() -> Q:
    """Return the condition that nobody is writing."""
    return Q(leased_until__isnull=True) | Q(leased_until__lt=Now())


def take(claim: Claim, offset: int) -> bool:
    """Claim the upload, when it stands at `offset` and nobody else is writing; False otherwise.

    The lease is known before the transaction: one whose COMMIT got no answer finds its own. A writer that was left
    behind may only be stuck, and write when it wakes: every segment is sealed against it.
    """
    claim.offset, claim.renewed_at = offset, time.monotonic()
    if _TAKE.run(claim.lease, claim.upload_id, offset, claim.lease):
        return True
    if not _TAKE_OVER.run(claim.lease, claim.upload_id, offset):
        return False
    claim.is_clean = False
    _SEAL.run(claim.upload_id)
    failpoint("upload.before_take_over_commit")
    return True


def advance(claim: Claim, size: int, hash_state: bytes | None) -> bool:
    """Add a chunk of `size` bytes to the upload and end the claim; False when the claim was lost."""
    return bool(_ADVANCE.run(claim.offset + size, hash_state, claim.upload_id, claim.lease))


def release(claim: Claim) -> None:
    """End the claim, if there is one, the upload as it was."""
    _RELEASE.run(claim.upload_id, claim.lease)
