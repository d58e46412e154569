"""Transactions that lost a race run again, whole; in the end a 503 says when to come back."""

import sqlite3
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, OperationalError

from core.api.errors import ErrorCode, RegistryError
from core.db import database_fault, transactions
from core.db.database_fault import ConflictError
from core.db.transactions import LostRaceError
from distribution.models import Repository
from distribution.uploads import chunks
from tests.caller import Caller, error_codes
from tests.database_errors import of_postgresql, of_sqlite
from tests.distribution.sessions import finish, start
from tests.images import digest_of, push_blob

LOST = [
    IntegrityError("unique"),
    ConflictError("another thread writes"),
    LostRaceError("came in between"),
    of_sqlite(sqlite3.SQLITE_BUSY, "database is locked"),
    of_postgresql(psycopg.errors.DeadlockDetected("deadlock detected")),
    of_postgresql(psycopg.OperationalError("server closed the connection unexpectedly")),
]
FAILED = [
    (of_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), "disk is full"),
    (of_sqlite(sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"), "its disk fails"),
    (of_sqlite(sqlite3.SQLITE_READONLY, "attempt to write a readonly database"), "it is read-only"),
    (of_postgresql(psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE")), "it is read-only"),
    (of_postgresql(psycopg.errors.DiskFull("could not extend file")), "disk is full"),
    (of_postgresql(psycopg.errors.UndefinedTable("no relation")), "the log of the registry says"),
]


@pytest.fixture(autouse=True)
def _nothing_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_fault, "_logged_at", {})


class Flaky:
    """Makes a row, then fails so many times."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.calls = error, times, 0

    def __call__(self, name: str) -> str:
        self.calls += 1
        Repository.objects.create(name=name)
        if self.calls <= self.times:
            raise self.error
        return name


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", LOST)
def test_a_lost_race_starts_again_from_nothing(error: Exception) -> None:
    operation = Flaky(error, transactions.ATTEMPTS - 1)

    assert transactions.run(operation, "alice/app") == "alice/app"
    assert operation.calls == transactions.ATTEMPTS
    assert Repository.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", LOST)
def test_a_race_that_is_lost_every_time_is_unavailable(error: Exception) -> None:
    with pytest.raises(RegistryError) as raised:
        transactions.run(Flaky(error, 99), "alice/app")

    assert raised.value.code is ErrorCode.UNAVAILABLE
    assert raised.value.headers["Retry-After"]
    assert not Repository.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("error", "words"), FAILED)
def test_a_database_that_fails_is_not_asked_again_and_says_what_is_wrong(
    caplog: pytest.LogCaptureFixture, error: Exception, words: str
) -> None:
    operation = Flaky(error, 99)

    with pytest.raises(RegistryError) as raised:
        transactions.run(operation, "alice/app")

    assert operation.calls == 1
    assert words in str(raised.value.detail)
    assert int(raised.value.headers["Retry-After"]) > 2
    assert [(record.levelname, record.message) for record in caplog.records] == [("ERROR", raised.value.detail)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (LostRaceError(), database_fault.BUSY),
        (IntegrityError("a constraint fails"), database_fault.OTHER),
        (of_postgresql(psycopg.errors.AdminShutdown("terminating connection")), database_fault.AWAY),
    ],
)
def test_what_was_lost_every_time_is_named(error: Exception, fault: database_fault.Fault) -> None:
    with pytest.raises(RegistryError) as raised:
        transactions.run(Flaky(error, 99), "alice/app")

    assert raised.value.detail == fault.reason


@pytest.mark.django_db(transaction=True)
def test_a_constraint_that_fails_every_time_is_logged_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "another"):
        with pytest.raises(RegistryError):
            transactions.run(Flaky(IntegrityError(f"the constraint {name} fails"), 99), "alice/app")

    causes = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert causes == ["the constraint one fails", "the constraint another fails"]


@pytest.mark.django_db(transaction=True)
def test_any_other_error_ends_it_at_once_and_undoes_it() -> None:
    operation = Flaky(RegistryError(ErrorCode.BLOB_UNKNOWN), 1)

    with pytest.raises(RegistryError):
        transactions.run(operation, "alice/app")

    assert operation.calls == 1
    assert not Repository.objects.exists()


@pytest.mark.parametrize(("failure", "words"), FAILED)
def test_a_read_that_the_database_fails_is_503_and_says_what_is_wrong(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, failure: Exception, words: str
) -> None:
    push_blob(alice, "alice/app", b"")

    def fails(*args: Any) -> None:
        raise failure

    monkeypatch.setattr("distribution.queries._find_and_touch", fails)
    response = alice.get(f"/v2/alice/app/blobs/{digest_of(b'')}")

    assert response.status_code == 503
    assert error_codes(response) == ["UNAVAILABLE"]
    assert words in response.json()["errors"][0]["detail"]
    assert response["Retry-After"]


def test_a_publication_that_the_database_refuses_can_be_tried_again_at_once(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = start(alice)

    def fails(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("distribution.blobs.link_into", fails)
        refused = alice.put(f"{location}?digest={digest_of(b'bytes')}", b"bytes")
    taken = alice.put(f"{location}?digest={digest_of(b'bytes')}", b"bytes")

    assert refused.status_code == 503
    assert taken.status_code == 201


def test_a_chunk_whose_commit_was_answered_by_nobody_counts_once(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transactions.run

    def run_again(operation: Any, *args: Any) -> Any:
        real(operation, *args)
        return real(operation, *args)

    location = start(alice)
    with monkeypatch.context() as patch:
        patch.setattr(transactions, "run", lambda op, *args: (run_again if op is chunks._count else real)(op, *args))
        response = alice.patch(location, b"bytes")

    assert response.status_code == 202
    assert finish(alice, location, digest_of(b"bytes")).status_code == 201
