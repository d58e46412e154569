"""An upload that was opened with a valid token can be finished after it expired; nothing else can."""

import dataclasses
import time
from datetime import timedelta

import pytest
from django.conf import LazySettings

from acl.models import Rule
from tests.caller import Caller
from tests.images import digest_of
from tokens.verify import LEEWAY_SECONDS

CONTENT = b"the last bytes of a huge layer"
DIGEST = digest_of(CONTENT)


@pytest.fixture
def later(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock of verification run ahead, beyond the life of every token so far."""
    real = time.time
    ahead = settings.REGISTRY.auth.expiration.total_seconds() + LEEWAY_SECONDS + 1
    monkeypatch.setattr("tokens.verify.time.time", lambda: real() + ahead)


@pytest.fixture
def session(alice: Caller) -> str:
    """Open an upload session as alice and return its location."""
    return str(alice.post("/v2/alice/app/blobs/uploads/")["Location"])


@pytest.fixture
def old_token(alice: Caller) -> str:
    return alice.token("repository:alice/app:pull,push,delete")


def test_the_session_goes_on(alice: Caller, session: str, old_token: str, later: None) -> None:
    patched = alice.patch(session, CONTENT, token=old_token)
    put = alice.put(f"{session}?digest={DIGEST}", token=old_token)

    assert (patched.status_code, put.status_code) == (202, 201)


def test_nothing_else_does(alice: Caller, session: str, old_token: str, later: None) -> None:
    paths = ("/v2/", "/v2/alice/app/tags/list", f"/v2/alice/app/blobs/{DIGEST}")

    assert [alice.get(path, token=old_token).status_code for path in paths] == [401, 401, 401]
    assert alice.post("/v2/alice/app/blobs/uploads/", token=old_token).status_code == 401


def test_a_session_of_another_account_does_not(alice: Caller, session: str, later: None) -> None:
    Rule.objects.create(subject_kind="account", subject="bob", name="alice/*", actions="pull,push")
    bob = Caller(alice.client, "bob", "bob's password")

    response = bob.patch(session, CONTENT, token=bob.token("repository:alice/app:pull,push"))

    assert response.status_code == 401


def test_a_removed_right_ends_it(alice: Caller, session: str, old_token: str, later: None) -> None:
    Rule.objects.filter(subject="alice").delete()

    assert alice.patch(session, CONTENT, token=old_token).status_code == 401


def test_a_session_opened_after_the_token_expired_is_not_meant(
    settings: LazySettings, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = dataclasses.replace(settings.REGISTRY.auth, expiration=timedelta(seconds=-LEEWAY_SECONDS - 5))
    good_token = alice.token("repository:alice/app:pull,push,delete")
    settings.REGISTRY = dataclasses.replace(settings.REGISTRY, auth=auth)
    expired_token = alice.ask_token("repository:alice/app:pull,push").json()["token"]
    opened = alice.post("/v2/alice/app/blobs/uploads/", token=good_token)["Location"]

    response = alice.patch(opened, CONTENT, token=expired_token)

    assert response.status_code == 401
