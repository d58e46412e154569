"""The lease of an upload lasts as long as its process works on it, whether bytes arrive or not."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.utils.timezone import now

from distribution.models import Segment, Trash, Upload
from distribution.uploads import leases
from distribution.uploads.leases import Claim, Heartbeat
from tests.caller import Caller, error_codes
from tests.distribution.sessions import Interrupted, finish, start
from tests.images import digest_of
from tests.unwritable import PATIENCE_SECONDS, until

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Renew leases all the time, and end with the thread, which uses the database."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    heartbeat = Heartbeat()
    monkeypatch.setattr(leases, "heartbeat", heartbeat)
    yield
    until(lambda: heartbeat._thread is None)


def leased_until() -> datetime:
    """Return until when the only upload has a writer."""
    found = Upload.objects.get().leased_until
    assert found is not None
    return found


class Endless(Interrupted):
    """A body that something happens to after its first bytes, and that ends only when the test gives up."""

    def __init__(self, happens: object) -> None:
        super().__init__(b"mine", happens)
        self.deadline = time.monotonic() + PATIENCE_SECONDS

    def read(self, size: int = -1) -> bytes:
        return super().read(size) or (b"." if time.monotonic() < self.deadline else b"")


def chunked(body: Interrupted) -> dict[str, object]:
    """Return what the server says of a body without a length."""
    return {"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked"}


def test_a_lease_is_renewed_while_the_client_sends_nothing(alice: Caller) -> None:
    location = start(alice)

    def stand_still() -> None:
        before = leased_until()
        until(lambda: leased_until() > before)

    response = alice.patch(location, meta=chunked(Interrupted(b"before, ", stand_still, b"after")))

    assert response.status_code == 202
    assert finish(alice, location, digest_of(b"before, after")).status_code == 201


def test_a_writer_that_was_succeeded_reads_no_further(alice: Caller) -> None:
    location, body = start(alice), Endless(lambda: Upload.objects.update(lease=uuid4()))

    response = alice.patch(location, meta=chunked(body))

    assert (response.status_code, error_codes(response)) == (503, ["UNAVAILABLE"])
    assert time.monotonic() < body.deadline
    assert not Segment.objects.exists()
    assert Trash.objects.count() == 1


def test_a_session_cancelled_while_somebody_writes_is_404_before_the_body_ends(alice: Caller) -> None:
    location = start(alice)
    token = alice.token("repository:alice/app:pull,push,delete")
    body = Endless(lambda: alice.delete(location, token=token))

    response = alice.patch(location, token=token, meta=chunked(body))

    assert (response.status_code, error_codes(response)) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert time.monotonic() < body.deadline


def test_leases_are_renewed_together_and_only_those_that_stand(alice: Caller) -> None:
    locations = [start(alice) for _ in range(3)]
    token = alice.token("repository:alice/app:pull,push,delete")
    lost, taken, kept = (Claim(UUID(location.rpartition("/")[2])) for location in locations)
    assert all(leases.take(claim, 0) for claim in (lost, taken, kept))
    alice.delete(locations[0], token=token)
    Upload.objects.filter(pk=taken.upload_id).update(lease=uuid4(), leased_until=LONG_AGO)
    Upload.objects.filter(pk=kept.upload_id).update(leased_until=LONG_AGO)

    for claim in (lost, taken, kept):
        leases.heartbeat.begin(claim)
    until(lambda: lost.is_lost and taken.is_lost)
    for claim in (lost, taken, kept):
        leases.heartbeat.end(claim)

    assert not kept.is_lost
    assert Upload.objects.get(pk=kept.upload_id).leased_until > now()  # type: ignore[operator]
    assert Upload.objects.get(pk=taken.upload_id).leased_until == LONG_AGO


def test_no_lease_is_renewed_once_its_request_has_ended(alice: Caller) -> None:
    alice.patch(start(alice), b"bytes")

    until(lambda: leases.heartbeat._thread is None)

    assert Upload.objects.get().leased_until is None


def test_a_renewal_from_before_says_nothing_of_a_claim_that_was_taken_again(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Claim(uuid4())
    again: list[bool] = []

    def renew(claims: list[Claim]) -> set[UUID]:
        if again:
            leases.heartbeat.end(claim)
            return {claim.upload_id}
        leases.heartbeat.begin(claim)
        again.append(claim.is_lost)
        return set()

    monkeypatch.setattr(leases, "_renew", renew)
    leases.heartbeat.begin(claim)
    until(lambda: leases.heartbeat._thread is None)

    assert again
    assert not claim.is_lost
