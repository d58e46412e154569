"""The queue of a process: bounded, patient with the database, and written when the process ends."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from audit import recording, rows
from audit.kinds import Kind
from audit.models import Event, first_key, time_of
from audit.recording import EventQueue, record, record_alike, record_now
from configuration.values import Audit
from core.db import clock
from core.metrics.catalog import AUDIT_DROPPED
from tests.audit.conftest import Written
from tests.unwritable import until, unwritable


def refuse(name: str, address: str = "192.0.2.1") -> None:
    """Record a refusal of a client with this address, about the repository `name`."""
    request: Any = type("Request", (), {"META": {"REMOTE_ADDR": address}})
    about = {"account": "bob", "credential": "token 1", "alike": "push", "repository": name}
    record_alike(Kind.DENIAL, request, **about, detail=lambda: "no rule")


def test_beyond_its_bound_the_queue_drops_events_counts_and_logs_them_once(
    queue: EventQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted: list[float] = []
    monkeypatch.setattr(recording, "MAX_PENDING", 10)
    monkeypatch.setattr(AUDIT_DROPPED, "add", counted.append)

    for number in range(15):
        record(Kind.LOGIN, None, account=str(number))

    assert len(queue._pending) == 10
    assert sum(counted) == 5
    assert [message.getMessage() for message in caplog.records] == [
        "audit events are dropped: the database is not written, or too slow"
    ]


def test_alike_events_of_a_minute_are_one_with_a_count(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse("a")
    refuse("a")
    assert [event.count for event in written()] == [2]
    refuse("a")
    assert [event.count for event in written()] == [3]
    monkeypatch.setattr(recording._queue, "_window_ends_at", 0.0)
    refuse("a")

    assert [event.count for event in written()] == [3, 1]


def test_one_client_gets_a_bounded_number_of_different_refusals(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_DIFFERENT", 3)
    for number in range(10):
        refuse(f"guessed/{number}")
    refuse("other/app", address="192.0.2.2")

    events = written()
    assert [(event.repository, event.count) for event in events] == [
        *((f"guessed/{number}", 1) for number in range(3)),
        ("", 7),
        ("other/app", 1),
    ]
    assert (events[3].address, events[3].account, events[3].detail) == ("192.0.2.1", "", "further ones of this minute")


def test_all_clients_together_get_a_bounded_number(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_WINDOW", 3)
    for number in range(10):
        refuse("guessed/app", address=f"192.0.2.{number}")

    assert [(event.address, event.count) for event in written()][3:] == [("", 7)]


def test_keys_grow_with_time_and_differ_whatever_the_clock_does(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    record(Kind.LOGIN, None)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    record(Kind.LOGIN, None)

    first, second = written()
    assert first_key(now) < first.pk < second.pk
    assert abs((time_of(first.pk) - now).total_seconds()) < 60
    assert first.at == time_of(first.pk)


def test_a_batch_that_is_written_again_changes_nothing(written: Written) -> None:
    record(Kind.LOGIN, None, account="alice")
    (event,) = written()

    rows.insert([(event.pk, rows.Values("login", "alice"), 1)])

    assert Event.objects.count() == 1


def test_what_no_column_takes_is_made_to_fit(written: Written) -> None:
    record(Kind.LOGIN, None, account="a\0" + "b" * 300, detail="\ud800" + "d" * 9000)

    (event,) = written()
    assert event.account == "a" + "b" * 127
    assert event.detail == "?" + "d" * (rows.MAX_DETAIL - 1)


def test_a_failed_batch_stays_in_the_queue(
    queue: EventQueue, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("the server closed the connection")

    record(Kind.LOGIN, None)
    with monkeypatch.context() as patched:
        patched.setattr(rows, "insert", fail)
        assert not queue.write_batch()

    assert len(written()) == 1


@pytest.fixture
def threaded(settings: Settings, monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[EventQueue]:
    """Switch the audit on, with a thread that ends with the test."""
    settings.REGISTRY = replace(settings.REGISTRY, audit=Audit())
    monkeypatch.setattr(recording, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(recording, "_queue", EventQueue())
    yield recording._queue
    # It has closed its connection, of which the next test's database must have none.
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "audit"])


def test_the_thread_writes_within_a_moment_and_ends(threaded: EventQueue) -> None:
    record(Kind.LOGIN, None, account="alice")

    until(lambda: Event.objects.count() == 1)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "audit"])
    record(Kind.LOGIN, None, account="bob")
    until(lambda: Event.objects.count() == 2)


def test_a_locked_database_delays_no_caller_and_loses_no_event(
    threaded: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(recording, "FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(recording, "LAST_RETRY_SECONDS", 0.05)
    with unwritable("audit_event"):
        for number in range(700):
            record(Kind.LOGIN, None, account=str(number))
        assert not threaded.flush(0.3)
        assert len(threaded._pending) == 700

    assert threaded.flush(30)
    assert Event.objects.count() == 700


def test_flush_without_events_needs_no_thread(threaded: EventQueue) -> None:
    assert threaded.flush(0)
    assert threaded._thread is None


def test_an_event_whose_key_another_process_has_drawn_is_written_with_another(
    queue: EventQueue, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(Kind.LOGIN, None, account="alice")
    record(Kind.LOGIN, None, account="bob")
    taken = queue._pending[0].key
    rows.insert([(taken, rows.Values(Kind.TOKEN, account="charlie"), 7)])

    found = {event.account: event for event in written()}

    assert set(found) == {"alice", "bob", "charlie"}
    assert (found["charlie"].pk, found["charlie"].count) == (taken, 7)
    assert found["alice"].pk != taken


def test_a_count_that_grew_is_written_to_the_row_of_its_event(written: Written) -> None:
    refuse("a")
    written()
    refuse("a")

    assert [event.count for event in written()] == [2]


def test_an_event_of_a_transaction_gets_another_key_too(
    written: Written, queue: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([7, 7, 8])
    monkeypatch.setattr("secrets.randbelow", lambda _limit: next(drawn))
    monkeypatch.setattr("time.time_ns", lambda: 1_800_000_000_000_000_000)

    for account in ("alice", "bob"):
        record_now(Kind.CHANGE, credential="command", detail="", account=account)

    assert [event.account for event in written()] == ["alice", "bob"]
