"""`GET`, `PUT`, `DELETE` of an upload session's location, and whose it is."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.timezone import now

from accounts.models import Account
from distribution.models import Blob, Repository, Trash, Upload
from tests.caller import Caller, error_codes
from tests.distribution.invariants import objects_on
from tests.distribution.sessions import finish, start
from tests.images import digest_of, push_blob


def test_the_status_is_204_with_the_place_and_how_far_it_has_come(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, b"12345")

    response = alice.get(location)

    assert response.status_code == 204
    assert response["Location"] == location
    assert response["Range"] == "0-4"
    assert response["Docker-Upload-UUID"] == location.rpartition("/")[2]
    assert response.content == b""


def test_the_status_of_an_empty_session_is_0_0(alice: Caller) -> None:
    response = alice.get(start(alice))

    assert response["Range"] == "0-0"


def test_a_cancelled_session_is_204_then_404(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, b"bytes")

    response = alice.delete(location)

    assert response.status_code == 204
    assert response.content == b""
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        after = alice.send(method, f"{location}?digest={digest_of(b'')}")
        assert after.status_code == 404
        assert error_codes(after) == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("query", ["", "?digest=nonsense"])
def test_a_cancelled_session_is_404_whatever_else_is_wrong(alice: Caller, query: str) -> None:
    location = start(alice)
    alice.delete(location)

    response = alice.put(location + query, b"bytes")

    assert (response.status_code, error_codes(response)) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_what_a_cancelled_session_had_received_is_trash(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, b"one")
    alice.patch(location, b"two")

    alice.delete(location)

    assert Trash.objects.count() == 1
    assert not Upload.objects.exists()


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_a_session_is_unknown_in_another_repository(alice: Caller, method: str) -> None:
    location = start(alice)
    start(alice, "alice/other")

    response = alice.send(method, location.replace("alice/app", "alice/other") + f"?digest={digest_of(b'')}")

    assert response.status_code == 404
    assert error_codes(response) == ["BLOB_UPLOAD_UNKNOWN"]
    assert Upload.objects.count() == 2


def test_a_session_is_unknown_to_another_account(alice: Caller, bob: Caller) -> None:
    location = start(alice)

    response = bob.get(location)

    assert response.status_code == 404
    assert error_codes(response) == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_a_session_is_unknown_to_an_account_that_was_made_anew(alice: Caller, method: str) -> None:
    location = start(alice)
    account = Account.objects.get(name="alice")
    account.delete()
    Account.objects.create(name="alice", password=account.password)
    again = Caller(Client(), "alice", alice.password)

    response = again.send(method, f"{location}?digest={digest_of(b'')}")

    assert (response.status_code, error_codes(response)) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert Upload.objects.count() == 1


def test_sessions_of_an_account_that_is_gone_do_not_count_for_the_next_of_its_name(
    alice: Caller, limit: Callable[..., None]
) -> None:
    limit(uploads_per_account=1)
    start(alice)
    account = Account.objects.get(name="alice")
    account.delete()
    Account.objects.create(name="alice", password=account.password)

    assert start(Caller(Client(), "alice", alice.password))


def test_a_cancelled_session_takes_the_repository_that_it_made_with_it(alice: Caller) -> None:
    for number in range(3):
        alice.delete(start(alice, f"alice/{number}"))

    assert not Repository.objects.exists()


def test_a_cancelled_session_leaves_a_repository_that_holds_something(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"bytes")
    other = start(alice, "alice/other")
    start(alice, "alice/other")

    alice.delete(start(alice))
    alice.delete(other)

    assert sorted(Repository.objects.values_list("name", flat=True)) == ["alice/app", "alice/other"]


def test_a_session_that_never_was_is_404(alice: Caller) -> None:
    response = alice.get(f"/v2/alice/app/blobs/uploads/{uuid4()}")

    assert response.status_code == 404
    assert error_codes(response) == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_finished_session_is_404(alice: Caller, *, chunked: bool) -> None:
    location = start(alice)
    finish(alice, location, digest_of(b"bytes"), b"bytes")

    response = finish(alice, location, digest_of(b"bytes"), chunked=chunked)

    assert response.status_code == 404
    assert error_codes(response) == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize("query", ["", "?digest=", "?digest=nonsense", "?digest=md5:0", "?digest=sha256%3A" + "A" * 64])
def test_no_digest_or_a_malformed_one_is_400_and_the_session_goes_on(alice: Caller, query: str) -> None:
    location = start(alice)
    alice.patch(location, b"bytes")

    response = alice.put(location + query)

    assert response.status_code == 400
    assert error_codes(response) == ["DIGEST_INVALID"]
    assert finish(alice, location, digest_of(b"bytes")).status_code == 201


@pytest.mark.parametrize("pieces", [[b""], [b"bytes"], [b"by", b"tes"]])
@pytest.mark.parametrize("last", [b"", b" more"])
def test_another_digest_is_400_ends_the_session_and_leaves_only_trash(
    disk: Path, alice: Caller, pieces: list[bytes], last: bytes
) -> None:
    location = start(alice)
    for piece in pieces:
        alice.patch(location, piece)

    response = finish(alice, location, digest_of(b"another"), last)

    assert response.status_code == 400
    assert error_codes(response) == ["DIGEST_INVALID"]
    assert alice.get(location).status_code == 404
    assert not Blob.objects.exists()
    assert not Upload.objects.exists()
    assert objects_on(disk) <= set(Trash.objects.values_list("key", flat=True))


def test_the_right_to_push_is_enough_to_cancel(alice: Caller) -> None:
    response = alice.delete(start(alice), scopes=["repository:alice/app:push"])

    assert response.status_code == 204


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_the_right_to_push_without_pull_is_not_enough_to_go_on(alice: Caller, method: str) -> None:
    response = alice.send(method, start(alice), b"bytes", scopes=["repository:alice/app:push"])

    assert response.status_code == 401


def test_a_session_with_a_query_of_its_own_may_get_more_of_it(alice: Caller) -> None:
    location = start(alice)

    response = alice.put(f"{location}?_state=x&digest={digest_of(b'')}")

    assert response.status_code == 201


def test_finishing_while_another_request_is_writing_is_503_and_the_session_goes_on(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, b"bytes")
    Upload.objects.update(lease=uuid4(), leased_until=now() + timedelta(minutes=1))

    response = finish(alice, location, digest_of(b"bytes"))

    assert response.status_code == 503
    Upload.objects.update(lease=None, leased_until=None)
    assert finish(alice, location, digest_of(b"bytes")).status_code == 201
