"""Slow down whoever guesses passwords: counted per client address, in the database for all processes.

    failures of               tries  one forgiven each   when none is left
    an account, an address       10  30 s                no password of the account is checked from there
    any account, an address      50   6 s                no password is checked from there: random names cost too
    an account, any address      50  30 s                one line in the log, at most once an hour: nobody is refused

While no try is left, a guess learns nothing; from elsewhere the account's owner logs in as ever, and so do those whose
right password this process remembers. Nobody waits longer than half a minute, however many tries were refused. One
address spends 10 tries of an account at most and gets them back at the same pace, so five take part before the log
tells of an account. An address is an IPv4 address or a /64 of IPv6. A client without one, behind a unix socket, says
nothing about who it is, so only its failures for each account count.

A login does not clear the count: behind a shared address each login of the owner would give a guesser new tries.

While the database can't be written, each process goes on counting in its own memory from what the row says: a guesser
has the tries once in each of them, and the next failure that can be stored takes them over into the row.
"""

import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv6Address, ip_address

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from accounts.database_fault import report
from accounts.failure_memory import FailureMemory, Key
from accounts.models import FailedLogin
from accounts.names import ACCOUNT_NAME
from accounts.short_transaction import short_transaction


@dataclass(frozen=True, slots=True)
class Limit:
    """How many wrong passwords are free, and after what time each is forgiven."""

    tries: int
    forgiven_after: timedelta

    @property
    def allowance(self) -> timedelta:
        """How far ahead the moment may be when all failures are forgiven, while a try is left.

        The failures of a row are not counted but summed up in that moment.
        """
        return self.forgiven_after * (self.tries - 1)


OF_ACCOUNT = Limit(10, timedelta(seconds=30))
OF_ADDRESS = Limit(50, timedelta(seconds=6))
OF_ACCOUNT_ANYWHERE = Limit(50, timedelta(seconds=30))
TOLD_EVERY = timedelta(hours=1)

# What stands in a row for all accounts, and for all addresses; neither is one.
ANY_ACCOUNT, ANYWHERE = "", "*"

PURGE_BATCH = 100
# A wrong password is answered this late, at the most, because the database is locked.
PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)
_unstored = FailureMemory()
# Failures that a thread is about to store, which may take PATIENCE_SECONDS: nobody guesses on meanwhile.
_being_stored: Counter[Key] = Counter()
_being_stored_lock = threading.Lock()


def wait_seconds(name: str, request: HttpRequest | None) -> int:
    """Return for how many seconds no password of the account is checked from the address of `request`; 0: go on."""
    keys, now = _keys(name, request), timezone.now()
    if not keys:
        return 0
    rows = FailedLogin.objects.filter(account__in=[account for account, _ in keys], network=keys[0][1])
    stored = {(row.account, row.network): row.forgiven_at for row in rows}
    return max(_wait(key, _pending(key, stored.get(key, now), now), now) for key in keys)


def count_failure(name: str, request: HttpRequest | None) -> None:
    """Count a wrong password, and delete what is forgiven. What is no account's name costs its address alone."""
    keys = _keys(name, request)
    if not keys:
        return
    with _counted_at_once(keys):
        is_stored = _is_stored(keys)
    if is_stored:
        with suppress(DatabaseError), short_transaction(PATIENCE_SECONDS):
            _purge()


def _keys(name: str, request: HttpRequest | None) -> list[Key]:
    """Return whose failures decide about a login, in the order in which their rows are locked."""
    network = network_of(request)
    keys = [(name, network)] if ACCOUNT_NAME.fullmatch(name) else []
    return [*keys, (ANY_ACCOUNT, network)] if network else keys


def _limit(key: Key) -> Limit:
    return OF_ADDRESS if key[0] == ANY_ACCOUNT else OF_ACCOUNT


@contextmanager
def _counted_at_once(keys: Sequence[Key]) -> Iterator[None]:
    """Let this process count the failure while the database may be locked."""
    with _being_stored_lock:
        _being_stored.update(keys)
    try:
        yield
    finally:
        with _being_stored_lock:
            _being_stored.subtract(keys)
            for key in keys:
                if not _being_stored[key]:
                    del _being_stored[key]


def _is_stored(keys: Sequence[Key]) -> bool:
    """Store a failure, in memory when the database does not take it; tell whether the database did."""
    try:
        with short_transaction(PATIENCE_SECONDS):
            for key in keys:
                _store(key)
            is_to_be_told = keys[0][0] != ANY_ACCOUNT and _is_to_be_told(keys[0][0])
    except DatabaseError as error:
        reason = report(error).reason
        logger.warning("a wrong password is counted in memory: it can't be stored", extra={"reason": reason})
        now = timezone.now()
        for key in keys:
            _unstored.move(key, _row_forgiven_at(key, now), partial(_one_more, key, now=now))
        return False
    for key in keys:
        _unstored.forget(key)
    if is_to_be_told:
        logger.warning(
            "many wrong passwords for one account, from several addresses: somebody may be guessing it",
            extra={"account": keys[0][0]},
        )
    return True


def network_of(request: HttpRequest | None) -> str:
    """Return who a client is here: its IPv4 address, or its /64 of IPv6, since every home has a whole one."""
    text = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    try:
        address = ip_address(text)
    except ValueError:
        return ""  # no request, or a unix socket
    return str(IPv6Address(int(address) >> 64 << 64)) if isinstance(address, IPv6Address) else str(address)


def _row_forgiven_at(key: Key, now: datetime) -> datetime:
    account, network = key
    row = FailedLogin.objects.filter(account=account, network=network).first()
    return now if row is None else row.forgiven_at


def _pending(key: Key, stored: datetime, now: datetime) -> datetime:
    """Return when every failure of `key` is forgiven, with those that only this process knows of."""
    return max(_unstored.get(key, stored), now) + _limit(key).forgiven_after * _being_stored[key]


def _store(key: Key) -> None:
    """Add a failure to the row, and those of which only this process knew."""
    now = timezone.now()
    row = _locked(key, now)
    forgiven_at = _one_more(key, _unstored.get(key, row.forgiven_at), now=now)
    if forgiven_at != row.forgiven_at:
        row.forgiven_at = forgiven_at
        row.save(update_fields=["forgiven_at"])


def _locked(key: Key, now: datetime) -> FailedLogin:
    account, network = key
    rows = FailedLogin.objects.select_for_update()
    row, _ = rows.get_or_create(account=account, network=network, defaults={"forgiven_at": now})
    return row


def _is_to_be_told(account: str) -> bool:
    """Count a failure from any address; tell whether there are more than one address may cause, once an hour."""
    now = timezone.now()
    row = _locked((account, ANYWHERE), now)
    if row.forgiven_at > now + OF_ACCOUNT_ANYWHERE.allowance:
        return False  # told less than an hour ago
    row.forgiven_at = max(row.forgiven_at, now) + OF_ACCOUNT_ANYWHERE.forgiven_after
    is_to_be_told = row.forgiven_at > now + OF_ACCOUNT_ANYWHERE.allowance
    if is_to_be_told:
        row.forgiven_at += TOLD_EVERY
    row.save(update_fields=["forgiven_at"])
    return is_to_be_told


def _one_more(key: Key, forgiven_at: datetime, *, now: datetime) -> datetime:
    """Return when all is forgiven after another failure.

    A try that was refused unchecked is none: hammering makes nobody wait longer.
    """
    return forgiven_at if _wait(key, forgiven_at, now) else max(forgiven_at, now) + _limit(key).forgiven_after


def _wait(key: Key, forgiven_at: datetime, now: datetime) -> int:
    return max(0, math.ceil((forgiven_at - now - _limit(key).allowance).total_seconds()))


def _purge() -> None:
    """Delete rows that say nothing any more: the table holds the failures of the last minutes only."""
    # Locked rows are in somebody's hands; waiting for them in any order could be a deadlock.
    forgiven = FailedLogin.objects.select_for_update(skip_locked=True).filter(forgiven_at__lte=timezone.now())
    pks = list(forgiven.values_list("pk", flat=True)[:PURGE_BATCH])
    FailedLogin.objects.filter(pk__in=pks).delete()
