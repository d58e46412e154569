"""Throttle password guesses: a leaky bucket per key, in the database for all processes.

    failures of               tries  one forgiven each   when none is left
    an account, an address       10  30 s                no password of the account is checked from this address
    any account, an address      50   6 s                no password is checked from this address
    an account's codes           10  30 s                no code of the account is checked: `accounts.second_factor`
    workloads, an address        50   6 s                a refused token of a trusted issuer is 429; a valid one passes
    an account, any address      50  30 s                a warning in the log, at most once an hour; no refusal

A refusal does not reveal whether the password is right. The owner can still log in from other addresses, or with a
password that this process has cached. The limit of an address does not apply to accounts that have logged in from it
before (`known_networks`): an attacker at a shared address locks none of them out, but may learn which accounts they
are. Refused tries don't count, so nobody waits longer than half a minute. The warning needs failures from five
addresses. An address is an IPv4 address or an IPv6 /64; a unix socket has none, and only the failures of each account
count.

A login does not reset the count: otherwise each login of the owner gives a guesser at a shared address new tries.

While the database can't be written, each process counts in its own memory, starting from the row; the next failure that
can be stored writes that count to the row.
"""

import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_address

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts import known_names
from accounts.models import FailedLogin
from accounts.names import ACCOUNT_NAME
from accounts.throttling import known_networks
from accounts.throttling.failure_memory import FailureMemory, Key
from core.api.notes import HasMeta
from core.db.database_fault import report
from core.db.short_transaction import short_transaction


@dataclass(frozen=True, slots=True)
class Limit:
    """The capacity of a bucket, and the time after which one failure is forgiven."""

    tries: int
    forgiven_after: timedelta

    def wait_seconds(self, forgiven_at: datetime, now: datetime) -> int:
        """Return the seconds until the next try, 0 while one is left.

        A row stores no number of failures, only the time `forgiven_at` when all are forgiven.
        """
        allowance = self.forgiven_after * (self.tries - 1)
        return max(0, math.ceil((forgiven_at - now - allowance).total_seconds()))


OF_ACCOUNT = Limit(10, timedelta(seconds=30))
OF_ADDRESS = Limit(50, timedelta(seconds=6))
OF_ACCOUNT_ANYWHERE = Limit(50, timedelta(seconds=30))
WARNING_INTERVAL = timedelta(hours=1)

# Stand for all accounts and all addresses; neither is a valid name or network.
ANY_ACCOUNT, ANYWHERE = "", "*"
# Stands for tokens of trusted issuers in place of a name: nobody guesses those, so they count apart from passwords.
WORKLOADS = "workload identity"

PURGE_BATCH = 100
# Prefix of the network in rows that count wrong codes.
CODES = "code "
# The longest delay of an answer by a locked database.
PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)
_unstored = FailureMemory()
# Failures that threads are storing, for up to PATIENCE_SECONDS: they count already.
_in_flight: Counter[Key] = Counter()
_in_flight_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason, such as `too many wrong passwords from this address`, and the seconds until the next try."""

    reason: str
    seconds: int


def refusal(name: str, request: HttpRequest | None, credential: str = "") -> Refusal | None:
    """Return the refusal of a login from the address of `request`, None while a try is left.

    With `credential`, the hash of a password that was verified, it limits codes of the second factor.
    """
    keys, now = _keys(name, request, credential), timezone.now()
    if not keys:
        return None
    if ACCOUNT_NAME.fullmatch(name):
        # Nobody has to know here whether the account exists.
        keys.insert(1, (_hashed(name), keys[0][1]))
    accounts, networks = zip(*keys, strict=True)
    rows = FailedLogin.objects.filter(account__in=accounts, network__in=networks)
    stored = {(row.account, row.network): row.forgiven_at for row in rows}
    waits = {}
    for key in keys:
        # With the failures in memory and in flight.
        forgiven_at = max(_unstored.get(key, stored.get(key, now)), now)
        limit = _limit(key)
        waits[key] = limit.wait_seconds(forgiven_at + limit.forgiven_after * _in_flight[key], now)
    of_address = (ANY_ACCOUNT, keys[-1][1])
    if keys[0] != of_address and waits.get(of_address) and known_networks.is_known(name, of_address[1]):
        del waits[of_address]
    key = max(waits, key=lambda key: waits[key])
    return Refusal(_reason(key), waits[key]) if waits[key] else None


def _reason(key: Key) -> str:
    account, network = key
    if account == WORKLOADS:
        return "too many refused workload identities from this address"
    if account == ANY_ACCOUNT:
        return "too many wrong passwords from this address"
    if network.startswith(CODES):
        return "too many wrong codes for this account"
    return "too many wrong passwords for this account from this address"


def count_failure(name: str, request: HttpRequest | None, credential: str = "") -> None:
    """Count a wrong password or code, and delete forgiven rows.

    An invalid account name counts for its address only. Wrong codes count from all addresses: only a client with the
    password can enter them. They count for that password, so a changed password resets the limit for the owner.
    """
    keys = _keys(name, request, credential)
    if not keys:
        return
    if ACCOUNT_NAME.fullmatch(name) and known_names.shown(name) != name:
        # A password, perhaps, that was typed into the wrong field: only its hash is stored.
        keys[0] = (_hashed(name), keys[0][1])
    with _counted_in_process(keys):
        is_stored = _is_stored(keys)
    if is_stored:
        with suppress(DatabaseError), short_transaction(PATIENCE_SECONDS):
            # Skip rows that another transaction has locked: waiting for them could deadlock.
            forgiven = FailedLogin.objects.select_for_update(skip_locked=True).filter(forgiven_at__lte=timezone.now())
            pks = list(forgiven.values_list("pk", flat=True)[:PURGE_BATCH])
            FailedLogin.objects.filter(pk__in=pks).delete()


def _keys(name: str, request: HttpRequest | None, credential: str) -> list[Key]:
    """Return the keys that limit a login, in lock order."""
    network = network_of(request)
    if name == WORKLOADS:
        return [(WORKLOADS, network)] if network else []
    keys = [(name, network)] if ACCOUNT_NAME.fullmatch(name) else []
    if credential:
        keys.append((name, f"{CODES}{credential[:32]}"))
    return [*keys, (ANY_ACCOUNT, network)] if network else keys


def _hashed(name: str) -> str:
    """Return a keyed hash, which is no valid name."""
    return f"?{salted_hmac('accounts.throttle', name, algorithm='sha256').hexdigest()[:40]}"


def _limit(key: Key) -> Limit:
    return OF_ADDRESS if key[0] in (ANY_ACCOUNT, WORKLOADS) else OF_ACCOUNT


@contextmanager
def _counted_in_process(keys: Sequence[Key]) -> Iterator[None]:
    """Count the failures in this process while the database may be locked."""
    with _in_flight_lock:
        _in_flight.update(keys)
    try:
        yield
    finally:
        with _in_flight_lock:
            _in_flight.subtract(keys)
            for key in keys:
                if not _in_flight[key]:
                    del _in_flight[key]


def _is_stored(keys: Sequence[Key]) -> bool:
    """Store a failure in the database, otherwise in memory; tell which."""
    try:
        with short_transaction(PATIENCE_SECONDS):
            for key in keys:
                _store(key)
            should_warn = keys[0][0] not in (ANY_ACCOUNT, WORKLOADS) and _should_warn(keys[0][0])
    except DatabaseError as error:
        reason = report(error).reason
        logger.warning("a wrong password is counted in memory: it can't be stored", extra={"reason": reason})
        now = timezone.now()
        for key in keys:
            row = FailedLogin.objects.filter(account=key[0], network=key[1]).first()
            stored = now if row is None else row.forgiven_at
            _unstored.update(key, stored, partial(_after_failure, key, now=now))
        return False
    for key in keys:
        _unstored.forget(key)
    if should_warn:
        logger.warning(
            "many wrong passwords for one account, from several addresses: somebody may be guessing it",
            extra={"account": known_names.shown(keys[0][0])},
        )
    return True


def network_of(request: HasMeta | None) -> str:
    """Return the client's IPv4 address or IPv6 /64 (the smallest prefix of one site); "" behind a unix socket."""
    return network_at(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


@lru_cache(maxsize=4096)
def network_at(text: str) -> str:
    """Return the same of an address; a login needs it several times."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    return str(IPv6Address(int(address) >> 64 << 64)) if isinstance(address, IPv6Address) else str(address)


def _store(key: Key) -> None:
    """Add a failure and the failures in memory to the row."""
    now = timezone.now()
    row = _locked(key, now)
    forgiven_at = _after_failure(key, _unstored.get(key, row.forgiven_at), now=now)
    if forgiven_at != row.forgiven_at:
        row.forgiven_at = forgiven_at
        row.save(update_fields=["forgiven_at"])


def _locked(key: Key, now: datetime) -> FailedLogin:
    account, network = key
    rows = FailedLogin.objects.select_for_update()
    row, _ = rows.get_or_create(account=account, network=network, defaults={"forgiven_at": now})
    return row


def _should_warn(account: str) -> bool:
    """Count a failure from any address; tell whether to log a warning, at most once an hour."""
    now = timezone.now()
    row = _locked((account, ANYWHERE), now)
    limit = OF_ACCOUNT_ANYWHERE
    if limit.wait_seconds(row.forgiven_at, now):
        return False  # warned less than an hour ago
    row.forgiven_at = max(row.forgiven_at, now) + limit.forgiven_after
    should_warn = limit.wait_seconds(row.forgiven_at, now) > 0
    if should_warn:
        row.forgiven_at += WARNING_INTERVAL
    row.save(update_fields=["forgiven_at"])
    return should_warn


def _after_failure(key: Key, forgiven_at: datetime, *, now: datetime) -> datetime:
    """Return `forgiven_at` after another failure; a refused try does not count."""
    limit = _limit(key)
    return forgiven_at if limit.wait_seconds(forgiven_at, now) else max(forgiven_at, now) + limit.forgiven_after
