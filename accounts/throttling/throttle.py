"""Slow down whoever guesses passwords: counted per client address, in the database for all processes.

    failures of               tries  one forgiven each   when none is left
    an account, an address       10  30 s                no password of the account is checked from there
    any account, an address      50   6 s                no password is checked from there: random names cost too
    an account's codes           10  30 s                no code of the account is checked: `accounts.second_factor`
    an account, any address      50  30 s                one line in the log, at most once an hour: nobody is refused

While no try is left, a guess learns nothing; from elsewhere the account's owner logs in as ever, and so do those whose
right password this process remembers. Nor do the tries of an address bind an account that has logged in from there
before (`known_networks`): a stranger at an address that many share keeps none of them out. By that he may
learn which accounts they are. Nobody waits longer than half a minute, however many tries were refused. One
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

from accounts.models import FailedLogin
from accounts.names import ACCOUNT_NAME
from accounts.throttling import known_networks
from accounts.throttling.failure_memory import FailureMemory, Key
from core.db.database_fault import report
from core.db.short_transaction import short_transaction


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
# What begins the network of a row that counts wrong codes, from any address.
CODES = "code "
# A wrong password is answered this late, at the most, because the database is locked.
PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)
_unstored = FailureMemory()
# Failures that a thread is about to store, which may take PATIENCE_SECONDS: nobody guesses on meanwhile.
_being_stored: Counter[Key] = Counter()
_being_stored_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no password is checked now, as `too many wrong passwords from this address`, and for how many seconds."""

    reason: str
    seconds: int


def refusal(name: str, request: HttpRequest | None, credential: str = "") -> Refusal | None:
    """Return why no password of the account is checked from the address of `request`; None: go on.

    With `credential`, which names the password that was shown already, it is about codes of the second factor.
    """
    keys, now = _keys(name, request, credential), timezone.now()
    if not keys:
        return None
    accounts, networks = zip(*keys, strict=True)
    rows = FailedLogin.objects.filter(account__in=accounts, network__in=networks)
    stored = {(row.account, row.network): row.forgiven_at for row in rows}
    waits = {key: _wait(key, _pending(key, stored.get(key, now), now), now) for key in keys}
    of_address = (ANY_ACCOUNT, keys[-1][1])
    if keys[0] != of_address and waits.get(of_address) and known_networks.is_known(name, of_address[1]):
        del waits[of_address]
    key = max(waits, key=lambda key: waits[key])
    return Refusal(_reason(key), waits[key]) if waits[key] else None


def _reason(key: Key) -> str:
    account, network = key
    if account == ANY_ACCOUNT:
        return "too many wrong passwords from this address"
    if network.startswith(CODES):
        return "too many wrong codes for this account"
    return "too many wrong passwords for this account from this address"


def count_failure(name: str, request: HttpRequest | None, credential: str = "") -> None:
    """Count a wrong password, or code, and delete what is forgiven. What is no account's name costs its address alone.

    Wrong codes are counted from everywhere too: who guesses them has the password, and is no stranger whom anybody
    could send. They are those of that password: once it is changed, nobody's guesses keep the owner out.
    """
    keys = _keys(name, request, credential)
    if not keys:
        return
    with _counted_at_once(keys):
        is_stored = _is_stored(keys)
    if is_stored:
        with suppress(DatabaseError), short_transaction(PATIENCE_SECONDS):
            _purge()


def _keys(name: str, request: HttpRequest | None, credential: str) -> list[Key]:
    """Return whose failures decide about a login, in the order in which their rows are locked."""
    network = network_of(request)
    keys = [(name, network)] if ACCOUNT_NAME.fullmatch(name) else []
    if credential:
        keys.append((name, f"{CODES}{credential[:32]}"))
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
