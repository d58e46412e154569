"""Leases: one request at a time writes to an upload, across all processes.

    take (compare-and-set on offset and lease) ──> renewed by the process's heartbeat ──> advance or release
                                                     └─ the process has died: free LEASE later

The lease lasts as long as its process lives, whether bytes arrive or a storage is slow. A takeover is safe beside a
process that was only paused: the lease is the fencing token, compared once more when bytes are counted or published.
"""

import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now

from core.db import transactions
from core.db.database_fault import report
from core.db.statement import Statement
from core.failpoints import failpoint

# A heartbeat may be late twice before another request can take the upload over.
LEASE = timedelta(seconds=6)
RENEW_SECONDS = 2.0
RENEWAL_PATIENCE_SECONDS = 2.0

_CLAIM = """
UPDATE distribution_upload
SET lease = %s, leased_until = statement_timestamp() + interval '{seconds:.0f} seconds',
    active_at = statement_timestamp()
WHERE id = %s AND "offset" = %s AND {condition}
"""
_TAKE = Statement(_CLAIM.format(seconds=LEASE.total_seconds(), condition="(lease IS NULL OR lease = %s)"))
_TAKE_OVER = Statement(_CLAIM.format(seconds=LEASE.total_seconds(), condition="leased_until < statement_timestamp()"))
_SEAL = Statement("UPDATE distribution_segment SET is_sealed = TRUE WHERE upload_id = %s")
# Without those that a transaction is advancing, publishing or taking over right now.
_RENEWAL = """
UPDATE distribution_upload
SET leased_until = statement_timestamp() + interval '{seconds:.0f} seconds', active_at = statement_timestamp()
WHERE id IN (
    SELECT id FROM distribution_upload WHERE id = ANY(%s) AND lease = ANY(%s) FOR UPDATE SKIP LOCKED
)
"""
_RENEW = Statement(_RENEWAL.format(seconds=LEASE.total_seconds()))
_STANDING = Statement("SELECT id FROM distribution_upload WHERE id = ANY(%s) AND lease = ANY(%s)")
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


@dataclass(eq=False, slots=True)
class Claim:
    """The right of one request to write to one upload from `offset` on, once it is taken.

    It is not `is_clean` after a takeover, since the earlier writer may still be alive. It `is_lost` once a heartbeat
    found another lease, or no upload. `spoiled_key` names an object whose bytes can't be trusted any more.
    """

    upload_id: uuid.UUID
    lease: uuid.UUID = field(default_factory=uuid.uuid4)
    offset: int = 0
    is_clean: bool = True
    is_lost: bool = False
    spoiled_key: str | None = None

    def check(self) -> None:
        """Raise LostLeaseError once the claim is lost: further bytes would be in vain."""
        if self.is_lost:
            raise LostLeaseError


class Heartbeat:
    """Renews the leases of a process; its thread ends when there are none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # A claim that is taken again gets another mark: a renewal from before tells nothing about it.
        self._marks: dict[Claim, object] = {}
        self._thread: threading.Thread | None = None

    def begin(self, claim: Claim) -> None:
        """Renew the lease of a claim, whose transaction is committed, until `end`."""
        with self._lock:
            claim.is_lost = False
            self._marks[claim] = object()
            if self._thread is not None and self._thread.is_alive():
                return
            thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)
            # Without a thread the upload goes on, and another request may take it over.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def end(self, claim: Claim) -> None:
        """Renew the lease no longer."""
        with self._lock:
            self._marks.pop(claim, None)

    def _work(self) -> None:
        while True:
            time.sleep(RENEW_SECONDS)
            with self._lock:
                marks = list(self._marks.items())
                if not marks:
                    self._thread = None
                    return
            standing = _renew([claim for claim, _ in marks])
            with self._lock:
                for claim, mark in marks:
                    if claim.upload_id not in standing and self._marks.get(claim) is mark:
                        claim.is_lost = True


def _renew(claims: list[Claim]) -> set[uuid.UUID]:
    """Renew the leases in one transaction; return the uploads whose claims stand, as far as is known.

    A database that can't be written ends no upload: the end of each compares its lease too.
    """
    ids, leases = [claim.upload_id for claim in claims], [claim.lease for claim in claims]
    try:
        renewed = transactions.run_once(partial(_RENEW.run, ids, leases), RENEWAL_PATIENCE_SECONDS)
        if renewed == len(claims):
            return set(ids)
        return {uuid.UUID(str(pk)) for (pk,) in _STANDING.rows(ids, leases)}
    except Exception as error:  # noqa: BLE001 - reported; without this thread nothing would be renewed
        report(error)
        return set(ids)
    finally:
        with suppress(Exception):
            connections.close_all()


heartbeat = Heartbeat()


def _reset_after_fork() -> None:
    """Renew nothing of the parent process."""
    global heartbeat  # noqa: PLW0603 - one heartbeat a process
    heartbeat = Heartbeat()


os.register_at_fork(after_in_child=_reset_after_fork)


def free() -> Q:
    """Return the condition that no request has a lease."""
    return Q(leased_until__isnull=True) | Q(leased_until__lt=Now())


def take(claim: Claim, offset: int) -> bool:
    """Claim the upload if it stands at `offset` and no other request has a lease; False otherwise.

    The lease is chosen before the transaction: a retry after a COMMIT without an answer finds its own. A writer whose
    lease ran out may only be stuck, and write when it wakes: a takeover seals every segment against it.
    """
    claim.offset = offset
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
