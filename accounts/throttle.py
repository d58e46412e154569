"""Slow down whoever guesses passwords: counted per account and client address, in the database for all processes.

Ten wrong passwords may be tried at once, then one every half minute: each is forgiven 30 seconds after the one
before. While none is left, no password of that account is checked from that address, so that a guess learns
nothing; from elsewhere the account's owner logs in as ever, and so do those whose right password this process
remembers. Nobody waits longer than half a minute, however many tries were refused.

A login does not clear the count: behind a shared address each login of the owner would give a guesser new tries.
"""

import math
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import FailedLogin
from accounts.names import ACCOUNT_NAME

TRIES = 10
FORGIVEN_AFTER = timedelta(seconds=30)
PURGE_BATCH = 100

# The failures of a row are not counted but summed up in the moment when the last of them is forgiven.
_ALLOWANCE = FORGIVEN_AFTER * (TRIES - 1)


def wait_seconds(name: str, request: HttpRequest | None) -> int:
    """Return for how many seconds no password of the account is checked from the address of `request`; 0: go on."""
    row = FailedLogin.objects.filter(account=name, network=network_of(request)).first()
    return _wait(row.forgiven_at, timezone.now()) if row is not None else 0


def count_failure(name: str, request: HttpRequest | None) -> None:
    """Count a wrong password, and delete what is forgiven. What is no account's name is no guess either."""
    if not ACCOUNT_NAME.fullmatch(name):
        return
    with transaction.atomic():
        now = timezone.now()
        rows = FailedLogin.objects.select_for_update()
        row, _ = rows.get_or_create(account=name, network=network_of(request), defaults={"forgiven_at": now})
        # Tries that were refused unchecked don't count: hammering makes nobody wait longer.
        if not _wait(row.forgiven_at, now):
            row.forgiven_at = max(row.forgiven_at, now) + FORGIVEN_AFTER
            row.save(update_fields=["forgiven_at"])
    _purge()


def network_of(request: HttpRequest | None) -> str:
    """Return who a client is here: its IPv4 address, or its /64 of IPv6, since every home has a whole one."""
    text = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    try:
        address = ip_address(text)
    except ValueError:
        return ""  # no request, or a unix socket
    return str(IPv6Address(int(address) >> 64 << 64)) if isinstance(address, IPv6Address) else str(address)


def _wait(forgiven_at: datetime, now: datetime) -> int:
    return max(0, math.ceil((forgiven_at - now - _ALLOWANCE).total_seconds()))


def _purge() -> None:
    """Delete rows that say nothing any more: the table holds the failures of the last minutes only."""
    with transaction.atomic():
        # Locked rows are in somebody's hands; waiting for them in any order could be a deadlock.
        forgiven = FailedLogin.objects.select_for_update(skip_locked=True).filter(forgiven_at__lte=timezone.now())
        pks = list(forgiven.values_list("pk", flat=True)[:PURGE_BATCH])
        FailedLogin.objects.filter(pk__in=pks).delete()
