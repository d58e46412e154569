"""`POST /v2/<name>/blobs/uploads/`: opening a session."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models.functions import Now

from acl.models import Rule
from core.caches import TTLCache
from distribution.models import Repository, Upload
from distribution.uploads import sessions
from tests.caller import Caller, Response, error_codes
from tests.distribution.sessions import finish, start
from tests.images import digest_of


@pytest.mark.parametrize("path", ["/v2/alice/app/blobs/uploads/", "/v2/alice/app/blobs/uploads"])
def test_a_session_is_202_with_its_place(alice: Caller, path: str) -> None:
    response = alice.post(path)

    session = UUID(response["Docker-Upload-UUID"])
    assert response.status_code == 202
    assert response["Location"] == f"/v2/alice/app/blobs/uploads/{session}"
    assert response["Range"] == "0-0"
    assert response["Content-Length"] == "0"
    assert response.content == b""


def test_the_first_session_makes_the_repository(alice: Caller) -> None:
    start(alice, "alice/new")

    assert Repository.objects.get().name == "alice/new"


def test_pull_is_not_enough_and_makes_no_repository(bob: Caller) -> None:
    response = bob.post("/v2/alice/app/blobs/uploads/")

    assert response.status_code == 401
    assert not Repository.objects.exists()


def test_a_session_hashes_with_the_algorithm_that_it_was_asked_for(alice: Caller) -> None:
    start(alice, query="?digest-algorithm=sha512")

    assert Upload.objects.get().algorithm == "sha512"


@pytest.mark.parametrize("algorithm", ["md5", "", "SHA256", "sha256%00"])
def test_an_algorithm_that_is_not_known_is_400(alice: Caller, algorithm: str) -> None:
    response = alice.post(f"/v2/alice/app/blobs/uploads/?digest-algorithm={algorithm}")

    assert response.status_code == 400
    assert error_codes(response) == ["DIGEST_INVALID"]
    assert not Upload.objects.exists()


@pytest.mark.parametrize("opened_for", ["sha256", "sha512"])
@pytest.mark.parametrize("pushed_as", ["sha256", "sha512"])
def test_a_session_of_any_algorithm_ends_with_a_digest_of_any(alice: Caller, opened_for: str, pushed_as: str) -> None:
    location = start(alice, query=f"?digest-algorithm={opened_for}")
    alice.patch(location, b"bytes")
    digest = digest_of(b"bytes", pushed_as)

    response = finish(alice, location, digest)

    assert response.status_code == 201
    assert response["Docker-Content-Digest"] == digest
    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 200


def test_a_body_without_a_digest_opens_a_session_all_the_same(alice: Caller) -> None:
    response = alice.post("/v2/alice/app/blobs/uploads/", b"ignored")

    assert response.status_code == 202
    assert response["Range"] == "0-0"


def test_an_account_has_a_bounded_number_of_sessions_open(alice: Caller, limit: Callable[..., None]) -> None:
    limit(uploads_per_account=2)
    sessions = [alice.post("/v2/alice/app/blobs/uploads/")["Location"] for _ in range(2)]

    refused = alice.post("/v2/alice/app/blobs/uploads/")

    assert (refused.status_code, error_codes(refused)) == (429, ["TOOMANYREQUESTS"])
    (error,) = refused.json()["errors"]
    assert error["message"] == (
        "this account has 2 uploads open; finish or cancel some (server.limits.uploads_per_account)"
    )
    assert refused["Retry-After"] == "60"
    alice.delete(sessions[0])
    assert alice.post("/v2/alice/app/blobs/uploads/").status_code == 202


def test_the_log_tells_of_refused_uploads_once(
    alice: Caller, limit: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_logged_refusals", TTLCache(3600))
    limit(uploads_per_account=1)
    for _ in range(3):
        alice.post("/v2/alice/app/blobs/uploads/")

    (told,) = [record for record in caplog.records if "uploads_per_account" in record.message]
    assert (told.account, told.client) == ("alice", None)  # type: ignore[attr-defined]  # of the log's `extra`


def test_the_sessions_of_others_do_not_count(alice: Caller, bob: Caller, limit: Callable[..., None]) -> None:
    limit(uploads_per_account=1)
    Rule.objects.create(subject_kind="account", subject="bob", name="alice/*", actions="push")
    alice.post("/v2/alice/app/blobs/uploads/")

    assert bob.post("/v2/alice/app/blobs/uploads/").status_code == 202


def test_a_session_without_bytes_counts_for_an_hour_only(alice: Caller, limit: Callable[..., None]) -> None:
    limit(uploads_per_account=2)
    for _ in range(2):
        alice.post("/v2/alice/app/blobs/uploads/")
    assert alice.post("/v2/alice/app/blobs/uploads/").status_code == 429

    Upload.objects.update(active_at=Now() - timedelta(minutes=61))

    assert alice.post("/v2/alice/app/blobs/uploads/").status_code == 202


def test_a_session_with_bytes_goes_on_counting(alice: Caller, limit: Callable[..., None]) -> None:
    limit(uploads_per_account=1)
    alice.patch(alice.post("/v2/alice/app/blobs/uploads/")["Location"], b"bytes")

    Upload.objects.update(active_at=Now() - timedelta(minutes=61))

    assert alice.post("/v2/alice/app/blobs/uploads/").status_code == 429


@pytest.fixture
def public(anonymous: Caller, limit: Callable[..., None]) -> Caller:
    """Let anybody push, with one session open at a time."""
    Rule.objects.create(subject_kind="anonymous", subject="", name="open/*", actions="pull,push")
    limit(uploads_per_account=1)
    return anonymous


def open_from(caller: Caller, address: str) -> Response:
    return caller.post("/v2/open/app/blobs/uploads/", meta={"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    ("one", "another", "status"),
    [
        ("192.0.2.1", "192.0.2.1", 429),
        ("192.0.2.1", "192.0.2.2", 202),
        ("2001:db8::1", "2001:db8::2", 429),
        ("2001:db8::1", "2001:db8:0:1::1", 202),
    ],
)
def test_anonymous_sessions_count_by_address(public: Caller, one: str, another: str, status: int) -> None:
    assert open_from(public, one).status_code == 202

    assert open_from(public, another).status_code == status


def test_a_body_that_comes_at_once_counts_by_address_too(public: Caller) -> None:
    open_from(public, "192.0.2.1")
    path = f"/v2/open/app/blobs/uploads/?digest={digest_of(b'bytes')}"

    assert public.post(path, b"bytes", meta={"REMOTE_ADDR": "192.0.2.1"}).status_code == 429
    assert public.post(path, b"bytes", meta={"REMOTE_ADDR": "192.0.2.2"}).status_code == 201


def test_an_anonymous_session_goes_on_from_another_address(public: Caller) -> None:
    location = open_from(public, "192.0.2.1")["Location"]

    response = public.put(f"{location}?digest={digest_of(b'bytes')}", b"bytes", meta={"REMOTE_ADDR": "198.51.100.7"})

    assert response.status_code == 201


def test_an_account_is_counted_wherever_it_is(alice: Caller, limit: Callable[..., None]) -> None:
    limit(uploads_per_account=1)
    path = "/v2/alice/app/blobs/uploads/"
    alice.post(path, meta={"REMOTE_ADDR": "192.0.2.1"})

    assert alice.post(path, meta={"REMOTE_ADDR": "192.0.2.2"}).status_code == 429
