"""One process at a time does a job."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from collector import lease
from collector.lease import LeaseTakenError
from collector.models import Job, Lease
from collector.throttle import StopError


def _pass_time(duration: timedelta) -> None:
    Lease.objects.update(expires_at=Now() + lease.LIFETIME - duration)


def test_a_second_holder_is_told_who_holds_the_job(db: None) -> None:
    with (
        lease.acquire(Job.COLLECTION),
        pytest.raises(LeaseTakenError, match=r"process \d+ since 20"),
        lease.acquire(Job.COLLECTION),
    ):
        pytest.fail("acquired twice")


def test_another_job_may_be_done_at_the_same_time(db: None) -> None:
    with lease.acquire(Job.COLLECTION), lease.acquire(Job.EXPIRY):
        assert lease.is_taken(Job.COLLECTION)
        assert lease.is_taken(Job.EXPIRY)


def test_a_job_that_ended_leaves_no_lease(db: None) -> None:
    with pytest.raises(ZeroDivisionError), lease.acquire(Job.COLLECTION):
        raise ZeroDivisionError

    assert not lease.is_taken(Job.COLLECTION)
    assert not Lease.objects.exists()


def test_a_holder_that_fell_silent_is_succeeded_and_stops(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0)
    with lease.acquire(Job.COLLECTION) as silent:
        _pass_time(lease.LIFETIME + timedelta(seconds=1))
        with lease.acquire(Job.COLLECTION) as successor:
            with pytest.raises(StopError, match="another process"):
                silent.renew()
            successor.renew()


def test_a_sign_of_life_keeps_the_lease(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0)
    with lease.acquire(Job.COLLECTION) as own_lease:
        _pass_time(lease.LIFETIME - timedelta(seconds=1))
        own_lease.renew()

        assert Lease.objects.filter(expires_at__gt=Now() + lease.LIFETIME / 2).exists()


def test_a_lease_of_a_clock_that_was_set_back_since_holds_up_nobody(db: None) -> None:
    with lease.acquire(Job.COLLECTION):
        _pass_time(timedelta(days=-2))

        assert not lease.is_taken(Job.COLLECTION)
        with lease.acquire(Job.COLLECTION):
            assert lease.is_taken(Job.COLLECTION)


def test_a_silent_holder_takes_no_lease_of_its_successor_along(db: None) -> None:
    with lease.acquire(Job.COLLECTION):
        Lease.objects.update(expires_at=Now() - timedelta(seconds=1))
        successor = lease.acquire(Job.COLLECTION)
        successor.__enter__()

    assert lease.is_taken(Job.COLLECTION)
