"""The lease of the deliverer: one process at a time, across replicas. A dead process's lease expires."""

import os
import socket
import time
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from django.db.models import Q
from django.db.models.functions import Now

from core.db import transactions
from webhooks.models import DeliveryLease

LIFETIME = timedelta(seconds=20)
RENEW_SECONDS = 5.0


def _place() -> str:
    """Return what processes have in common that see each other's ids: boot of the machine and PID namespace."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return str(uuid.uuid4())


def _is_dead(holder: str) -> bool:
    """Tell whether the process that holds the lease is known to have ended."""
    place, _, pid = holder.rpartition(" process ")
    if place != f"{socket.gethostname()} {_place()}":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


class Lease:
    """This process's lease, if it has it."""

    def __init__(self) -> None:
        self._token = str(uuid.uuid4())
        self._asked_at = -RENEW_SECONDS
        self._valid_until = 0.0

    def holds(self, for_seconds: float) -> bool:
        """Take or renew the lease if that is due; tell whether it is valid for that long. Raises RegistryError, Error.

        What begins while it is valid for its longest time ends before another process can take over.
        """
        now = time.monotonic()
        if now - self._asked_at >= RENEW_SECONDS:
            self._asked_at = now
            # Read first: a process in waiting writes nothing.
            taken = DeliveryLease.objects.exclude(self._may_take()).first()
            if taken is not None and _is_dead(taken.holder):
                # Killed: nothing of it is on its way.
                DeliveryLease.objects.filter(token=taken.token).update(expires_at=Now())
                taken = None
            is_free = taken is None
            self._valid_until = (
                now + LIFETIME.total_seconds() if is_free and transactions.run_volatile(self._take) else 0.0
            )
        return self._valid_until - for_seconds > now

    def release(self) -> None:
        """Let another process take over at once. Raises RegistryError."""
        if self._valid_until:
            self._valid_until = 0.0
            rows = DeliveryLease.objects.filter(token=self._token)
            transactions.run_volatile(rows.update, expires_at=Now())

    def _may_take(self) -> Q:
        later = Now() + LIFETIME
        # One in the far future is from before the clock was set back.
        return Q(token=self._token) | Q(expires_at__lte=Now()) | Q(expires_at__gt=later)

    def _take(self) -> bool:
        holder = f"{socket.gethostname()} {_place()} process {os.getpid()}"[-255:]
        taken = {"token": self._token, "holder": holder, "expires_at": Now() + LIFETIME}
        if DeliveryLease.objects.filter(self._may_take()).update(**taken):
            return True
        if DeliveryLease.objects.exists():
            return False
        DeliveryLease.objects.create(pk=1, **taken)
        return True
