"""Slow down whoever guesses passwords: counted per account and client address, in the database for all processes.

Ten wrong passwords may be tried at once, then one every half minute: each is forgiven 30 seconds after the one
before. While none is left, no password of that account is checked from that address, so that a guess learns
nothing; from elsewhere the account's owner logs in as ever, and so do those whose right password this process
remembers. Nobody waits longer than half a minute, however many tries were refused.

A login does not clear the count: behind a shared address each login of the owner would give a guesser new tries.

While the database can't be written, each process goes on counting in its own memory from what the row says: a guesser
has at most TRIES in each of them, and the next failure that can be stored takes them over into the row.
"""

import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from accounts.database_fault import report
from accounts.failure_memory import FailureMemory, Key
from accounts.models import FailedLogin
from accounts.names import ACCOUNT_NAME
from accounts.short_transaction import short_transaction

TRIES = 10
FORGIVEN_AFTER = timedelta(seconds=30)
PURGE_BATCH = 100
# A wrong password is answered this late, at the most, because the database is locked.
PATIENCE_SECONDS = 1.0

# The failures of a row are not counted but summed up in the moment when the last of them is forgiven.
_ALLOWANCE = FORGIVEN_AFTER * (TRIES - 1)

logger = logging.getLogger(__name__)
_unstored = FailureMemory()
# Failures that a thread is about to store, which may take PATIENCE_SECONDS: nobody guesses on meanwhile.
_being_stored: Counter[Key] = Counter()
_being_stored_lock = threading.Lock()


def wait_seconds(name: str, request: HttpRequest | None) -> int:
    """Return for how many seconds no password of the account is checked from the address of `request`; 0: go on."""
    key, now = (name, network_of(request)), timezone.now()
    return _wait(max(_forgiven_at(key, now), now) + FORGIVEN_AFTER * _being_stored[key], now)


def count_failure(name: str, request: HttpRequest | None) -> None:
    """Count a wrong password, and delete what is forgiven. What is no account's name is no guess either."""
    if not ACCOUNT_NAME.fullmatch(name):
        return
    key = (name, network_of(request))
    with _counted_at_once(key):
        is_stored = _is_stored(key)
    if is_stored:
        with suppress(DatabaseError), short_transaction(PATIENCE_SECONDS):
            _purge()


@contextmanager
def _counted_at_once(key: Key) -> Iterator[None]:
    """Let this process count the failure while the database may be locked."""
    with _being_stored_lock:
        _being_stored[key] += 1
    try:
        yield
    finally:
        with _being_stored_lock:
            _being_stored[key] -= 1
            if not _being_stored[key]:
                del _being_stored[key]


def _is_stored(key: Key) -> bool:
    """Store a failure, in memory when the database does not take it; tell whether the database did."""
    try:
        with short_transaction(PATIENCE_SECONDS):
            _store(key)
    except DatabaseError as error:
        reason = report(error).reason
        logger.warning("a wrong password is counted in memory: it can't be stored", extra={"reason": reason})
        now = timezone.now()
        _unstored.move(key, _forgiven_at(key, now), lambda moment: _one_more(moment, now))
        return False
    _unstored.forget(key)
    return True


def network_of(request: HttpRequest | None) -> str:
    """Return who a client is here: its IPv4 address, or its /64 of IPv6, since every home has a whole one."""
    text = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    try:
        address = ip_address(text)
    except ValueError:
        return ""  # no request, or a unix socket
    return str(IPv6Address(int(address) >> 64 << 64)) if isinstance(address, IPv6Address) else str(address)


def _forgiven_at(key: Key, now: datetime) -> datetime:
    """Return when every failure of `key` is forgiven, `now` when there is none."""
    account, network = key
    row = FailedLogin.objects.filter(account=account, network=network).first()
    return _unstored.get(key, now if row is None else row.forgiven_at)


def _store(key: Key) -> None:
    """Add a failure to the row, and those of which only this process knew."""
    now = timezone.now()
    account, network = key
    rows = FailedLogin.objects.select_for_update()
    row, _ = rows.get_or_create(account=account, network=network, defaults={"forgiven_at": now})
    forgiven_at = _one_more(_unstored.get(key, row.forgiven_at), now)
    if forgiven_at != row.forgiven_at:
        row.forgiven_at = forgiven_at
        row.save(update_fields=["forgiven_at"])


def _one_more(forgiven_at: datetime, now: datetime) -> datetime:
    """Return when all is forgiven after another failure.

    A try that was refused unchecked is none: hammering makes nobody wait longer.
    """
    return forgiven_at if _wait(forgiven_at, now) else max(forgiven_at, now) + FORGIVEN_AFTER


def _wait(forgiven_at: datetime, now: datetime) -> int:
    return max(0, math.ceil((forgiven_at - now - _ALLOWANCE).total_seconds()))


def _purge() -> None:
    """Delete rows that say nothing any more: the table holds the failures of the last minutes only."""
    # Locked rows are in somebody's hands; waiting for them in any order could be a deadlock.
    forgiven = FailedLogin.objects.select_for_update(skip_locked=True).filter(forgiven_at__lte=timezone.now())
    pks = list(forgiven.values_list("pk", flat=True)[:PURGE_BATCH])
    FailedLogin.objects.filter(pk__in=pks).delete()
