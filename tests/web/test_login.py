"""Sign in to the pages, with throttle and second factor; sign out; change the own password."""

import pytest
from django.test import Client

from accounts import second_factor
from accounts.models import Account, SecondFactor
from tests.conftest import PASSWORDS
from tests.web.test_pages import signed_in, text_of

pytestmark = pytest.mark.usefixtures("cast")


def test_an_account_that_is_no_staff_signs_in_and_out() -> None:
    client = signed_in("bob")
    assert ">bob</a>" in text_of(client, "/")
    assert "/admin/" not in text_of(client, "/")

    assert client.post("/logout").status_code == 302

    assert "Sign in" in text_of(client, "/")


@pytest.mark.parametrize("path", ["/logout"])
def test_a_link_does_not_sign_out(path: str) -> None:
    client = signed_in("bob")

    assert client.get(path).status_code == 405
    assert ">bob</a>" in text_of(client, "/")


@pytest.mark.parametrize("name", ["bob", "nobody", "", "a\0b"])
def test_a_wrong_password_is_refused(name: str) -> None:
    answer = Client().post("/login", {"username": name, "password": "wrong"})

    assert answer.status_code == 200
    assert b"errorlist" in answer.content


def test_a_deactivated_account_is_refused_and_its_session_is_anonymous() -> None:
    client = signed_in("bob")
    Account.objects.filter(name="bob").update(is_active=False)

    assert "Sign in" in text_of(client, "/")
    assert Client().post("/login", {"username": "bob", "password": PASSWORDS["bob"]}).status_code == 200


def test_guesses_are_throttled() -> None:
    client = Client()
    statuses = [client.post("/login", {"username": "bob", "password": f"wrong {n}"}).status_code for n in range(30)]

    assert statuses[0] == 200
    assert statuses[-1] == 429


@pytest.mark.parametrize(
    ("following", "goes_to"), [("/repositories/alice/app", "/repositories/alice/app"), ("https://evil.example/", "/")]
)
def test_the_login_returns_to_a_page_of_this_site_only(following: str, goes_to: str) -> None:
    fields = {"username": "bob", "password": PASSWORDS["bob"], "next": following}

    assert Client().post("/login", fields).headers["Location"] == goes_to


def test_a_form_without_its_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)

    assert client.post("/login", {"username": "bob", "password": PASSWORDS["bob"]}).status_code == 403


def test_an_account_with_a_second_factor_is_anonymous_until_its_code() -> None:
    account = Account.objects.get(name="bob")
    factor = SecondFactor.objects.create(account=account, seed=second_factor.new_seed(), last_step=0)
    (code, *_) = second_factor.renew_recovery_codes(factor)
    client = Client()

    answer = client.post("/login", {"username": "bob", "password": PASSWORDS["bob"], "next": "/account"})
    assert answer.headers["Location"] == "/login/code?next=%2Faccount"
    assert client.get("/account").headers["Location"].startswith("/login?")
    assert "Enter your code" in text_of(client, "/")

    assert b"errorlist" in client.post("/login/code", {"code": "000000"}).content
    assert client.post("/login/code?next=/account", {"code": code}).headers["Location"] == "/account"
    assert "Change the password" in text_of(client, "/account")


def test_the_own_page_says_what_the_account_may() -> None:
    assert "bob may pull alice/*" in text_of(signed_in("bob"), "/account")
    assert Client().get("/account").headers["Location"] == "/login?next=%2Faccount"


def test_the_own_password_is_changed_and_other_sessions_end() -> None:
    client, other = signed_in("bob"), signed_in("bob")
    new = "a new password of bob"

    wrong = client.post("/account", {"old_password": "wrong", "new_password1": new, "new_password2": new})
    assert b"errorlist" in wrong.content
    fields = {"old_password": PASSWORDS["bob"], "new_password1": new, "new_password2": new}
    assert client.post("/account", fields).status_code == 302

    assert "The password was changed" in text_of(client, "/account?changed=1")
    assert "Sign in" in text_of(other, "/")
    assert Client().post("/login", {"username": "bob", "password": new}).status_code == 302


def test_the_session_of_a_page_opens_neither_the_admin_nor_v2() -> None:
    client = signed_in("bob")

    assert client.get("/admin/").status_code == 302
    assert client.get("/v2/_catalog").status_code == 401
