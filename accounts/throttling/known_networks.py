"""The networks from which an account has logged in, exempt from the limit of an address.

    right password ──> cache of the process ──(at most once a day)──> row of account and network

An attacker who exhausts the limit of a shared address locks out only accounts that have never logged in from it. A row
is valid for 30 days after the last login; an account has at most 100.
"""

import logging
from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone

from accounts.models import KnownNetwork
from core.caches import TTLCache
from core.db.database_fault import report
from core.db.short_transaction import short_transaction

COUNTS_FOR = timedelta(days=30)
STORE_INTERVAL = timedelta(days=1)
PER_ACCOUNT = 100
PURGE_BATCH = 100
# The longest delay of a login by a locked database.
PATIENCE_SECONDS = 0.2

logger = logging.getLogger(__name__)
_stored: TTLCache[bool] = TTLCache(STORE_INTERVAL.total_seconds())
# Logins while the database could not be written; after this time the next one tries again.
_unstored: TTLCache[bool] = TTLCache(300)


def record(name: str, network: str) -> None:
    """Record a login of the account from `network`; in memory while the database can't be written."""
    pair = (name, network)
    if not network or _stored.get(pair) or _unstored.get(pair):
        return
    try:
        _store(name, network)
    except DatabaseError as error:
        logger.warning(
            "a login's network is kept in memory: it can't be stored", extra={"reason": report(error).reason}
        )
        _unstored.put(pair, True)
    else:
        _stored.put(pair, True)


def is_known(name: str, network: str) -> bool:
    """Tell whether the account has logged in from `network` in the last 30 days."""
    pair = (name, network)
    if _stored.get(pair) or _unstored.get(pair):
        return True
    since = timezone.now() - COUNTS_FOR
    return KnownNetwork.objects.filter(account=name, network=network, last_at__gt=since).exists()


def _store(name: str, network: str) -> None:
    now = timezone.now()
    if KnownNetwork.objects.filter(account=name, network=network, last_at__gt=now - STORE_INTERVAL).exists():
        return  # stored by another process, or before a restart
    with short_transaction(PATIENCE_SECONDS):
        KnownNetwork.objects.update_or_create(account=name, network=network, defaults={"last_at": now})
    with short_transaction(PATIENCE_SECONDS):
        _purge(name)


def _purge(name: str) -> None:
    """Delete expired rows, and the oldest rows of the account beyond its limit."""
    old = KnownNetwork.objects.filter(last_at__lte=timezone.now() - COUNTS_FOR)
    too_many = KnownNetwork.objects.filter(account=name).order_by("-last_at")
    pks = [
        *old.values_list("pk", flat=True)[:PURGE_BATCH],
        *too_many.values_list("pk", flat=True)[PER_ACCOUNT : PER_ACCOUNT + PURGE_BATCH],
    ]
    # Skip rows that another transaction has locked: waiting for them could deadlock.
    free = KnownNetwork.objects.select_for_update(skip_locked=True).filter(pk__in=pks)
    KnownNetwork.objects.filter(pk__in=list(free.values_list("pk", flat=True))).delete()
