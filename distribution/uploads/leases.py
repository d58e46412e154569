"""Leases: one request at a time writes to an upload, across all processes.

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
    """The right of one request to write to one upload from `offset` on, once it is taken.

    It is not `is_clean` after a takeover, since the earlier writer may still be alive. `spoiled_key` names an object
    whose bytes can't be trusted any more.
    """

    upload_id: uuid.UUID
    lease: uuid.UUID = field(default_factory=uuid.uuid4)
    offset: int = 0
    is_clean: bool = True
    spoiled_key: str | None = None
    renewed_at: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Renew the lease, at most once in RENEW_SECONDS. Raises LostLeaseError."""
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return
        self.renewed_at = time.monotonic()
        # A busy or restarting database ends no upload: the lease is checked again at the end of the claim.
        if deferred_writes.write(_RENEW, self.upload_id, self.lease) == 0:
            raise LostLeaseError


def free() -> Q:
    """Return the condition that no request has a lease."""
    return Q(leased_until__isnull=True) | Q(leased_until__lt=Now())


def take(claim: Claim, offset: int) -> bool:
    """Claim the upload if it stands at `offset` and no other request has a lease; False otherwise.

    The lease is chosen before the transaction: a retry after a COMMIT without an answer finds its own. A writer whose
    lease ran out may only be stuck, and write when it wakes: a takeover seals every segment against it.
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
    """Count a chunk of `size` bytes and end the claim; False when the claim was lost."""
    return bool(_ADVANCE.run(claim.offset + size, hash_state, claim.upload_id, claim.lease))


def release(claim: Claim) -> None:
    """End the claim, if it stands, without changing the upload."""
    _RELEASE.run(claim.upload_id, claim.lease)
