"""The admin while the database can't be written: one logs in and looks, and is told why nothing changes."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import OperationalError, connection
from django.test import Client

from accounts import sessions
from accounts.models import Account
from tests.admin.browser import Browser
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import Image
from tests.read_only import read_only_database

PASSWORD = "the password of root"
COOKIE = "registry_login"
OUTLIVED = (
    "You are signed out in this browser; the session could not be deleted: change the password to end copies of it."
)
PAGES = [
    *("accounts/account/", "accounts/account/add/", "auth/group/", "acl/rule/", "tokens/refreshtoken/"),
    *("distribution/repository/", "distribution/manifest/", "distribution/tag/", "distribution/blob/"),
    *("gc/run/", "gc/run/add/", "password_change/", ""),
]


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Remember no logout of another test."""
    sessions._ended.clear()


@pytest.fixture
def unwritable(root: Account, family: Image) -> Iterator[None]:
    """Let the database refuse writes from here on."""
    with read_only_database():
        yield


@pytest.fixture
def browser(unwritable: None) -> Browser:
    """Log in as the superuser while nothing can be written."""
    browser = Browser()
    assert browser.log_in("root", PASSWORD).status_code == 302
    return browser


def with_cookie(value: str) -> Client:
    """Return a browser with a session that was copied."""
    client = Client()
    client.cookies[COOKIE] = value
    return client


def is_inside(client: Client) -> bool:
    return bool(client.get("/admin/").status_code == 200)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_after_a_login(browser: Browser, page: str) -> None:
    assert browser.get(f"/admin/{page}").status_code == 200


def test_a_wrong_password_is_refused_on_the_page(unwritable: None) -> None:
    response = Browser().log_in("root", "wrong")

    assert response.status_code == 200
    assert "Please enter the correct" in response.content.decode()


def test_one_who_was_inside_before_stays_inside(admin: Browser) -> None:
    with read_only_database():
        assert admin.get("/admin/accounts/account/").status_code == 200


def test_a_change_is_a_503_that_says_that_nothing_was_changed(browser: Browser) -> None:
    page = f"/admin/accounts/account/{Account.objects.get(name='alice').pk}/change/"

    response = browser.submit(page, is_active=None)

    said = response.content.decode()
    assert (response.status_code, response["Retry-After"].isdecimal()) == (503, True)
    assert "The database can&#x27;t be written: it is read-only. Nothing was changed." in said
    assert "Traceback" not in said
    assert Account.objects.get(name="alice").is_active


def test_a_change_without_the_csrf_token_is_refused_as_ever(browser: Browser) -> None:
    assert browser.client.post("/admin/accounts/account/add/", {"name": "eve"}).status_code == 403


def test_a_changed_password_ends_the_session(root: Account, family: Image) -> None:
    browser = Browser()
    with read_only_database():
        browser.log_in("root", PASSWORD)
    assert is_inside(browser.client)

    root.set_password("another password")
    root.save()

    assert not is_inside(browser.client)


def test_a_session_of_an_old_password_ends_though_its_row_stays(admin: Browser, root: Account) -> None:
    root.set_password("another password")
    root.save()

    with read_only_database():
        assert not is_inside(admin.client)


def test_a_logout_ends_the_session_and_its_copies(browser: Browser) -> None:
    value = browser.client.cookies[COOKIE].value
    assert is_inside(with_cookie(value))

    log_out(browser)

    assert not is_inside(browser.client)
    assert not is_inside(with_cookie(value))


def log_out(browser: Browser) -> str:
    """Log out, and return the page that says so."""
    response = browser.post("/admin/logout/", {})
    assert response.status_code == 200
    return str(response.content.decode())


def test_a_logout_whose_session_stays_says_how_to_end_its_copies(
    admin: Browser, root: Account, caplog: pytest.LogCaptureFixture
) -> None:
    value = admin.client.cookies[COOKIE].value

    with read_only_database():
        page = log_out(admin)

    assert OUTLIVED in page
    assert "a session can't be deleted: a change of the password ends it" in caplog.messages
    assert not is_inside(admin.client)
    assert not is_inside(with_cookie(value))
    # As in a process that was started since.
    sessions._ended.clear()
    assert is_inside(with_cookie(value))
    root.set_password("another password")
    root.save()
    assert not is_inside(with_cookie(value))


def test_a_logout_of_a_signed_session_says_so_too(browser: Browser) -> None:
    assert OUTLIVED in log_out(browser)


def test_a_logout_whose_session_is_deleted_says_nothing_of_copies(admin: Browser) -> None:
    value = admin.client.cookies[COOKIE].value

    page = log_out(admin)

    assert "copies" not in page
    assert not Session.objects.filter(session_key=value).exists()


def test_a_signed_session_ends_an_hour_after_its_login(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()

    monkeypatch.setattr(time, "time", lambda: now + sessions.SIGNED_SECONDS - 60)
    before = is_inside(browser.client)
    monkeypatch.setattr(time, "time", lambda: now + sessions.SIGNED_SECONDS + 60)

    assert (before, is_inside(browser.client)) == (True, False)


@pytest.mark.parametrize(("key", "salt"), [("x" * 50, "accounts.sessions"), (None, "another")])
def test_a_session_that_was_signed_otherwise_is_none(browser: Browser, key: str | None, salt: str) -> None:
    signed = signing.loads(browser.client.cookies[COOKIE].value, salt="accounts.sessions")
    assert is_inside(with_cookie(signing.dumps(signed, salt="accounts.sessions")))

    assert not is_inside(with_cookie(signing.dumps(signed, key=key, salt=salt)))


def test_a_session_is_stored_again_with_the_next_login(root: Account) -> None:
    browser = Browser()
    with read_only_database():
        browser.log_in("root", PASSWORD)
        signed = browser.client.cookies[COOKIE].value

    Browser().log_in("root", PASSWORD)

    assert not re.fullmatch(r"[a-z0-9]{32}", signed)
    assert Session.objects.count() == 1


def test_the_login_is_noted_when_it_can_be(root: Account) -> None:
    Browser().log_in("root", PASSWORD)

    assert Account.objects.get(pk=root.pk).last_login is not None


def test_the_json_api_answers(unwritable: None, alice: Caller) -> None:
    caller = Caller(Client(), "alice", PASSWORDS["alice"])

    response = caller.client.get("/api/v1/repositories", headers={"Authorization": caller.basic})

    (found,) = response.json()["items"]
    assert (found["name"], found["actions"]) == ("alice/app", ["delete", "pull", "push"])


def gone(*_: Any) -> None:
    """Stand in for a database that went away."""
    raise OperationalError("gone: password=geheim")


def test_a_page_of_a_database_that_went_away_is_a_503(admin: Browser) -> None:
    with connection.execute_wrapper(gone):
        response = admin.get("/admin/accounts/account/")

    assert (response.status_code, response["Retry-After"].isdecimal()) == (503, True)
    assert "geheim" not in response.content.decode()


def test_an_answer_of_the_json_api_without_a_database_is_a_503_in_json(cast: None) -> None:
    caller = Caller(Client(), "alice", PASSWORDS["alice"])

    with connection.execute_wrapper(gone):
        response = caller.client.get("/api/v1/whoami", headers={"Authorization": caller.basic})

    assert (response.status_code, response["Retry-After"].isdecimal()) == (503, True)
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"].startswith("The database ")
