"""The door of the admin."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import authentication
from accounts.models import Account
from accounts.throttling.password_queue import PasswordQueue
from tests.admin.browser import Browser
from tests.caller import Caller


@pytest.fixture
def browser(root: Account) -> Browser:
    return Browser()


def test_the_login_page_asks_for_a_name(browser: Browser) -> None:
    page = browser.text("/admin/login/")

    assert "Name" in page
    assert "Username" not in page


def test_a_superuser_logs_in(browser: Browser) -> None:
    response = browser.log_in("root", "the password of root")

    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert "Access rules" in browser.text("/admin/")


@pytest.mark.parametrize(
    ("name", "password"),
    [("root", "wrong"), ("root", "x" * 73), ("nobody", "wrong"), ("alice", "alice's password")],
)
def test_nobody_else_logs_in(browser: Browser, name: str, password: str) -> None:
    response = browser.log_in(name, password)

    assert response.status_code == 200
    assert browser.get("/admin/").status_code == 302


def test_an_inactive_superuser_does_not_log_in(browser: Browser, root: Account) -> None:
    Account.objects.filter(pk=root.pk).update(is_active=False)

    browser.log_in("root", "the password of root")

    assert browser.get("/admin/").status_code == 302


def test_the_login_waits_for_a_place_as_every_password_does(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = PasswordQueue(cores=1, length=100)
    monkeypatch.setattr(authentication, "_queue", lambda: queue)
    monkeypatch.setattr(authentication, "QUEUE_SECONDS", 0.01)

    with authentication.place():
        response = browser.log_in("root", "the password of root")

    assert (response.status_code, response["Retry-After"]) == (429, "2")
    assert response.content == b"Too many logins at once; try again in a moment."
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize("name", ["root", " root "])
def test_a_throttled_login_is_answered_without_the_page_and_without_a_session(browser: Browser, name: str) -> None:
    for number in range(10):
        browser.log_in("root", f"wrong {number}")

    response = browser.log_in(name, "the password of root")

    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 30
    assert response.content.decode() == (
        f"Too many wrong passwords for this account from this address; wait {response['Retry-After']} s."
    )
    assert response.templates == []
    assert "no-store" in response["Cache-Control"]
    assert not Session.objects.exists()


def test_a_login_without_the_csrf_token_is_refused(browser: Browser) -> None:
    response = browser.submit(
        "/admin/login/", username="root", password="the password of root", csrfmiddlewaretoken=None
    )

    assert response.status_code == 403


def test_no_script_and_no_other_site_has_the_session(browser: Browser) -> None:
    browser.log_in("root", "the password of root")

    cookie = browser.client.cookies["registry_login"]

    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_a_session_is_no_login_to_the_registry(admin: Browser) -> None:
    assert admin.get("/v2/").status_code == 401


def test_a_superuser_may_push_and_pull_nothing_without_a_rule(admin: Browser, alice: Caller) -> None:
    root = Caller(alice.client, "root", "the password of root")

    response = root.get("/v2/alice/app/tags/list")

    assert response.status_code == 401


def test_a_changed_password_ends_the_session(admin: Browser, root: Account) -> None:
    root.set_password("another password")
    root.save()

    assert admin.get("/admin/").status_code == 302


def test_somebody_who_is_no_staff_is_told_so(cast: None) -> None:
    client = Client()
    client.force_login(Account.objects.get(name="bob"))

    page = client.get("/admin/", follow=True).content.decode()

    assert "bob may not open this admin" in page
