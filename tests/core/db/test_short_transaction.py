"""A transaction that gives up soon, and leaves the connection as it was."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import FailedLogin
from core.db.short_transaction import short_transaction
from tests.collector.other_thread import in_other_thread

PATIENCE_SECONDS = 0.25

pytestmark = pytest.mark.django_db(transaction=True)


def lock_timeout() -> str:
    """Return how long the connection waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout" if connection.vendor == "sqlite" else "SHOW lock_timeout")
        (value,) = cursor.fetchone()
        return str(value)


@contextmanager
def writing() -> Iterator[None]:
    """Hold what another writer would wait for."""
    with transaction.atomic():
        FailedLogin.objects.select_for_update().update(network="held")
        yield


def test_the_lock_timeout_holds_for_the_short_transaction_only() -> None:
    before = lock_timeout()

    with short_transaction(PATIENCE_SECONDS):
        inside = lock_timeout()

    assert inside in ("250", "250ms")
    assert lock_timeout() == before


def test_a_short_transaction_times_out_beside_a_writer_and_leaves_the_connection_usable() -> None:
    row = FailedLogin.objects.create(account="alice", forgiven_at="2026-01-01T00:00:00Z")
    before = lock_timeout()

    with in_other_thread(writing()):
        with pytest.raises(DatabaseError), short_transaction(PATIENCE_SECONDS):
            FailedLogin.objects.update(account="bob")
        seen = FailedLogin.objects.get(pk=row.pk)

    assert (seen.account, lock_timeout()) == ("alice", before)


def test_a_failed_short_transaction_leaves_the_outer_one_whole() -> None:
    with transaction.atomic():
        FailedLogin.objects.create(account="alice", forgiven_at="2026-01-01T00:00:00Z")
        with suppress(DatabaseError), short_transaction(PATIENCE_SECONDS):
            FailedLogin.objects.create(account="alice", forgiven_at="2026-01-01T00:00:00Z")

    assert FailedLogin.objects.count() == 1
