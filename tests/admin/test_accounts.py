"""Accounts in the admin."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from accounts.throttling import throttle
from tests.admin.browser import Browser, errors_of, staff
from tests.caller import Caller

ACCOUNTS = "/admin/accounts/account/"


def page_of(name: str) -> str:
    """Return the path of an account's page."""
    return f"{ACCOUNTS}{Account.objects.get(name=name).pk}/change/"


def password_page_of(name: str) -> str:
    """Return the path of the page that sets an account's password."""
    return page_of(name).replace("change", "password")


def test_the_list_shows_who_they_are(admin: Browser) -> None:
    Account.objects.get(name="alice").groups.set([Group.objects.create(name="writers")])

    page = admin.text(ACCOUNTS)

    for text in ("alice", "charlie", "writers", "Superuser status", "Robot of", "Last login"):
        assert text in page


def test_the_list_is_searched_by_name(admin: Browser) -> None:
    page = admin.text(ACCOUNTS, q="ali")

    assert "alice" in page
    assert "charlie" not in page


@pytest.mark.parametrize(("query", "shown"), [("is_superuser__exact", "root"), ("is_active__exact", "alice")])
def test_the_list_is_filtered(admin: Browser, query: str, shown: str) -> None:
    Account.objects.filter(name="charlie").update(is_active=False)

    page = admin.text(ACCOUNTS, **{query: "1"})

    assert shown in page
    assert "charlie" not in page


def test_the_list_is_not_filtered_by_password(admin: Browser) -> None:
    assert admin.get(ACCOUNTS, password__startswith="bcrypt").status_code == 400


def test_the_list_costs_the_same_for_more_accounts(admin: Browser) -> None:
    group = Group.objects.create(name="robots")
    with CaptureQueriesContext(connection) as few:
        admin.text(ACCOUNTS)
    for number in range(30):
        Account.objects.create(name=f"robot-{number}").groups.add(group)

    with CaptureQueriesContext(connection) as many:
        admin.text(ACCOUNTS)

    assert len(many) == len(few)


def test_a_new_account_logs_in_to_the_registry(admin: Browser) -> None:
    password = "a long enough password"

    response = admin.submit(f"{ACCOUNTS}add/", name="dora", password1=password, password2=password)

    assert response.status_code == 302
    assert Caller(admin.client, "dora", password).ask_token().status_code == 200


def test_a_new_account_without_a_password_can_not_log_in(admin: Browser) -> None:
    response = admin.submit(f"{ACCOUNTS}add/", name="dora", has_no_password="on")

    assert response.status_code == 302
    assert not Account.objects.get(name="dora").has_usable_password()
    assert Caller(admin.client, "dora", "").ask_token().status_code == 401


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "password1"),
        ({"has_no_password": "on", "password1": "a long one", "password2": "a long one"}, "has_no_password"),
    ],
)
def test_a_new_account_has_either_a_password_or_none(admin: Browser, changes: dict[str, str], field: str) -> None:
    response = admin.submit(f"{ACCOUNTS}add/", name="dora", **changes)

    assert field in errors_of(response)
    assert not Account.objects.filter(name="dora").exists()


def test_a_deletion_names_the_rules_of_the_account(admin: Browser) -> None:
    page = admin.text(page_of("bob").replace("change", "delete"))

    assert "bob may pull alice/*: this rule then matches nobody" in page


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("short", "at least 8"),
        ("password1", "too common"),
        ("x" * 73, "at most 72 bytes"),
        ("ö" * 37, "at most 72 bytes"),
    ],
)
def test_a_weak_or_overlong_password_is_refused(admin: Browser, password: str, message: str) -> None:
    response = admin.submit(f"{ACCOUNTS}add/", name="dora", password1=password, password2=password)

    assert message in str(errors_of(response))
    assert not Account.objects.filter(name="dora").exists()


@pytest.mark.parametrize("name", ["", "-dora", "dora:x", "dora x", "döra", "alice", "Alice"])
def test_a_name_that_cannot_be_used_is_refused(admin: Browser, name: str) -> None:
    password = "a long enough password"

    response = admin.submit(f"{ACCOUNTS}add/", name=name, password1=password, password2=password)

    assert list(errors_of(response)) == ["name"]


def test_an_account_is_not_renamed_to_look_like_another(admin: Browser) -> None:
    response = admin.submit(page_of("bob"), name="ALICE")

    assert list(errors_of(response)) == ["name"]


def test_a_password_set_in_the_admin_counts_for_the_next_login(admin: Browser, bob: Caller) -> None:
    assert bob.ask_token().status_code == 200

    response = admin.submit(password_page_of("bob"), password1="bob's new one", password2="bob's new one")

    assert response.status_code == 302
    assert bob.ask_token().status_code == 401
    assert Caller(bob.client, "bob", "bob's new one").ask_token().status_code == 200


def test_a_password_too_long_for_bcrypt_is_not_set(admin: Browser) -> None:
    before = Account.objects.get(name="bob").password

    response = admin.submit(password_page_of("bob"), password1="x" * 73, password2="x" * 73)

    assert "at most 72 bytes" in str(errors_of(response))
    assert Account.objects.get(name="bob").password == before


def test_staff_change_their_own_password(manager: Browser) -> None:
    passwords = {"new_password1": "the manager's new one", "new_password2": "the manager's new one"}

    response = manager.submit("/admin/password_change/", old_password="a password of staff", **passwords)

    assert response["Location"] == "/admin/password_change/done/"
    assert Account.objects.get(name="manager").check_password("the manager's new one")


def test_the_old_password_is_guessed_no_faster_than_at_a_login(manager: Browser) -> None:
    passwords = {"new_password1": "the manager's new one", "new_password2": "the manager's new one"}
    for _ in range(throttle.OF_ACCOUNT.tries):
        manager.submit("/admin/password_change/", old_password="wrong", **passwords)

    response = manager.submit("/admin/password_change/", old_password="a password of staff", **passwords)

    assert "Too many wrong passwords" in response.content.decode()
    assert not Account.objects.get(name="manager").check_password("the manager's new one")


def test_saving_a_page_as_it_stands_changes_nothing(admin: Browser) -> None:
    before = Account.objects.filter(name="alice").values().get()

    response = admin.submit(page_of("alice"))

    assert response.status_code == 302
    assert Account.objects.filter(name="alice").values().get() == before


def test_no_page_shows_a_hash(admin: Browser) -> None:
    hashed = Account.objects.get(name="alice").password.rpartition("$")[2]
    onlooker = staff("onlooker", "view_account")

    for browser in (admin, onlooker):
        assert hashed[-20:] not in browser.text(page_of("alice"))


def test_who_may_only_look_changes_nothing(cast: None) -> None:
    onlooker = staff("onlooker", "view_account")

    response = onlooker.post(page_of("alice"), {"name": "mallory"})

    assert response.status_code == 403
    assert Account.objects.filter(name="alice").exists()


def test_a_deactivated_account_is_out_at_once(admin: Browser, alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull")
    assert alice.get("/v2/", token=token).status_code == 200

    admin.submit(page_of("alice"), is_active=None)

    assert alice.get("/v2/", token=token).status_code == 401
    assert alice.ask_token().status_code == 401


def test_the_tokens_of_a_deleted_account_stop_counting(admin: Browser, alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull")
    assert alice.get("/v2/", token=token).status_code == 200

    response = admin.submit(page_of("alice").replace("change", "delete"))

    assert response.status_code == 302
    assert not Account.objects.filter(name="alice").exists()
    assert alice.get("/v2/", token=token).status_code == 401


def test_a_superuser_does_not_lock_themselves_out(admin: Browser, root: Account) -> None:
    admin.submit(page_of("root"), is_active=None, is_staff=None, is_superuser=None)
    deleted = admin.post(page_of("root").replace("change", "delete"), {"post": "yes"})

    root.refresh_from_db()
    assert (root.is_active, root.is_staff, root.is_superuser) == (True, True, True)
    assert deleted.status_code == 403
