"""A lease for each job: one process at a time, across machines. A heartbeat renews it; an expired one is taken over.

Two processes at once would do no harm, only work twice: each row is locked and checked again.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from collector.models import Job, Lease
from collector.throttle import StopError
from core.db import transactions
from distribution.models import remove

LIFETIME = timedelta(minutes=2)
RENEW_SECONDS = 20.0

# Expired, or from before the clock was set back.
_IS_EXPIRED = Q(expires_at__lt=Now()) | Q(expires_at__gt=Now() + LIFETIME)


class LeaseTakenError(Exception):
    """Another process does the job."""


@dataclass(slots=True)
class OwnLease:
    """This process's lease of a job, valid as long as it is renewed."""

    job: Job
    token: uuid.UUID = field(default_factory=uuid.uuid4)
    renewed_at: float = field(default_factory=time.monotonic)

    def renew(self) -> bool:
        """Send a heartbeat, at most one in RENEW_SECONDS; return whether one was sent.

        Raises StopError when another process took over.
        """
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return False
        self.renewed_at = time.monotonic()
        rows = Lease.objects.filter(job=self.job, token=self.token)
        if not transactions.run_volatile(rows.update, expires_at=Now() + LIFETIME):
            raise StopError("another process took over")
        return True


@contextmanager
def acquire(job: Job) -> Iterator[OwnLease]:
    """Acquire the lease of `job` for the block. Raises LeaseTakenError, which names the process that has it."""
    own = OwnLease(job)
    if not transactions.run_volatile(_take, own):
        row = Lease.objects.filter(job=job).first()
        raise LeaseTakenError(
            f"{row.holder} since {row.taken_at:%Y-%m-%d %H:%M:%S} UTC" if row else "another process until just now"
        )
    try:
        yield own
    finally:
        transactions.run_volatile(remove, Lease.objects.filter(job=job, token=own.token))


def _take(own: OwnLease) -> bool:
    """Take the lease if it is free or expired; of two concurrent inserts, one fails and its transaction is retried."""
    rows = Lease.objects.filter(job=own.job)
    holder = f"{socket.gethostname()}, process {os.getpid()}"[:255]
    taken = {"holder": holder, "token": own.token, "taken_at": Now(), "expires_at": Now() + LIFETIME}
    if rows.exists():
        return bool(rows.filter(_IS_EXPIRED).update(**taken))
    Lease.objects.create(job=own.job, **taken)
    return True


def release_of_dead(job: Job, token: uuid.UUID) -> None:
    """Remove the lease with this token, whose process is known to be dead."""
    remove(Lease.objects.filter(job=job, token=token))


def is_taken(job: Job) -> bool:
    """Tell whether a process does the job."""
    return Lease.objects.filter(job=job).exclude(_IS_EXPIRED).exists()
