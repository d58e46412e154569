"""One runner at a time across processes and replicas: a row with a heartbeat, taken over when it is stale.

Two runners at once would do no harm (each row is locked and asked again), only work twice.
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


class HeldError(Exception):
    """Another process does the job."""


@dataclass(slots=True)
class Held:
    """The lease of a job, ours as long as it is renewed."""

    job: Job
    token: uuid.UUID = field(default_factory=uuid.uuid4)
    renewed_at: float = field(default_factory=time.monotonic)

    def renew(self) -> bool:
        """Give a sign of life, at most once in RENEW_SECONDS: True when it was time for one.

        Raises StopError when another took over.
        """
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return False
        self.renewed_at = time.monotonic()
        rows = Lease.objects.filter(job=self.job, token=self.token)
        if not transactions.run_volatile(rows.update, expires_at=Now() + LIFETIME):
            raise StopError("another process took over")
        return True


@contextmanager
def hold(job: Job) -> Iterator[Held]:
    """Hold the lease of `job`. Raises HeldError, which says who holds it."""
    held = Held(job)
    if not transactions.run_volatile(_take, held):
        raise HeldError(_whose(job))
    try:
        yield held
    finally:
        transactions.run_volatile(remove, Lease.objects.filter(job=job, token=held.token))


def abandon(job: Job, token: uuid.UUID) -> None:
    """Remove the lease with this token, whose holder is known to be dead; that of any other stays."""
    remove(Lease.objects.filter(job=job, token=token))


def is_held(job: Job) -> bool:
    """Tell whether a process does the job."""
    return Lease.objects.filter(job=job).exclude(_stale()).exists()


def _take(held: Held) -> bool:
    """Take the lease if nobody has it, or whoever had it fell silent; of two that insert it at once one comes again."""
    rows = Lease.objects.filter(job=held.job)
    taken = {"holder": _name(), "token": held.token, "taken_at": Now(), "expires_at": Now() + LIFETIME}
    if rows.exists():
        return bool(rows.filter(_stale()).update(**taken))
    Lease.objects.create(job=held.job, **taken)
    return True


def _stale() -> Q:
    """Return the condition that nobody renewed the lease; also one given by a clock that was set back since."""
    return Q(expires_at__lt=Now()) | Q(expires_at__gt=Now() + LIFETIME)


def _whose(job: Job) -> str:
    row = Lease.objects.filter(job=job).first()
    return f"{row.holder} since {row.taken_at:%Y-%m-%d %H:%M:%S} UTC" if row else "another process until just now"


def _name() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"[:255]
