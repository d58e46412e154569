"""A claim outlasts a database that does not answer for a moment."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet

from distribution import leases
from distribution.models import Blob
from tests.caller import Caller
from tests.distribution.sessions import finish, start
from tests.images import digest_of

BYTES = b"bytes that arrive while the database restarts"


@pytest.fixture
def database_that_fails_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let each read renew the claim, and the first renewal fail; the result tells how many were tried."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", -1.0)
    update, tried = QuerySet.update, []

    def update_or_fail(rows: QuerySet[Any], **values: Any) -> int:
        if set(values) == {"leased_until", "active_at"}:
            tried.append(time.monotonic())
            if len(tried) == 1:
                raise OperationalError("terminating connection due to administrator command")
        return update(rows, **values)

    monkeypatch.setattr(QuerySet, "update", update_or_fail)
    return lambda: len(tried)


def test_a_renewal_that_fails_ends_no_upload(alice: Caller, database_that_fails_once: Callable[[], int]) -> None:
    location = start(alice)

    response = alice.patch(location, BYTES)

    assert response.status_code == 202
    assert database_that_fails_once() > 1
    assert finish(alice, location, digest_of(BYTES)).status_code == 201
    assert Blob.objects.get().size == len(BYTES)
