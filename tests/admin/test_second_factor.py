"""The second factor of the admin: who has shown the password alone opens nothing."""

import base64
import hmac
import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.sessions.models import Session
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import second_factor
from accounts.models import Account, FailedLogin, RecoveryCode, SecondFactor
from configuration.values import Admin
from tests.admin.browser import Browser, Response, messages_of
from tests.admin.form import form_of
from tests.caller import Caller

PASSWORD = "the password of root"
CODE_PAGE, OWN_PAGE = "/admin/code/", "/admin/second-factor/"


def code_of(secret: str, moment: float) -> str:
    """Return what an app shows: RFC 6238, written down here once more."""
    counter = struct.pack(">Q", int(moment) // 30)
    mac = hmac.digest(base64.b32decode(secret.replace(" ", "")), counter, "sha1")
    start = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


class Device:
    """Somebody's app, and the recovery codes that were written down."""

    def __init__(self, secret: str, moment: float, codes: list[str]) -> None:
        self.secret, self.set_up_at, self.codes = secret, moment, codes

    def code(self, seconds_later: int = 30) -> str:
        """Return the code so long after the setting up, whose own code has been used."""
        return code_of(self.secret, self.set_up_at + seconds_later)


def set_up(browser: Browser) -> Device:
    """Set the second factor up, as whom the browser belongs to."""
    page = browser.text(OWN_PAGE)
    (secret,) = re.findall(r'id="secret"[^>]*>([A-Z2-7 ]+)<', page)
    moment = time.time()
    done = browser.submit(OWN_PAGE, code=code_of(secret, moment)).content.decode()
    return Device(secret, moment, re.findall(r"<code>([a-z2-7-]{19})</code>", done))


@contextmanager
def at(moment: float) -> Iterator[None]:
    """Let the codes be those of another time."""
    with patch.object(time, "time", lambda: moment):
        yield


def opens(browser: Browser, path: str = "/admin/") -> bool:
    """Tell whether the browser sees a page of the admin."""
    return bool(browser.get(path).status_code == 200)


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Start as a process that has just been started: a key of a row may be one of an earlier test."""
    second_factor._accepted.clear()


@pytest.fixture
def device(admin: Browser) -> Device:
    """Give root a second factor."""
    # The row may have the key of an earlier test's.
    second_factor._accepted.clear()
    return set_up(admin)


@pytest.fixture
def browser(device: Device) -> Browser:
    """Sit at the admin with root's password, of which the login is done."""
    browser = Browser()
    browser.log_in("root", PASSWORD)
    return browser


@pytest.fixture
def required(settings: Settings) -> None:
    """Ask everybody for a second factor."""
    settings.REGISTRY = replace(settings.REGISTRY, admin=Admin(require_second_factor=True))


def test_without_one_the_password_opens_the_admin(root: Account) -> None:
    browser = Browser()
    browser.log_in("root", PASSWORD)

    assert opens(browser)


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/accounts/account/",
        "/admin/accounts/account/add/",
        "/admin/password_change/",
        "/admin/search/?s=a",
        "/admin/jsi18n/",
        OWN_PAGE,
    ],
)
def test_the_password_alone_opens_nothing(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 302


def test_the_password_alone_changes_nothing(browser: Browser, root: Account) -> None:
    answer = browser.submit(CODE_PAGE, code="000000")
    token = answer.context["csrf_token"]

    browser.client.post("/admin/accounts/account/add/", {"name": "eve", "csrfmiddlewaretoken": str(token)})
    browser.client.post(OWN_PAGE, {"remove": "", "code": "", "csrfmiddlewaretoken": str(token)})

    assert not Account.objects.filter(name="eve").exists()
    assert SecondFactor.objects.filter(account=root).exists()


def test_the_password_leads_to_the_code_and_the_code_to_the_page_that_was_asked_for(
    browser: Browser, device: Device
) -> None:
    asked = browser.client.get("/admin/acl/rule/", follow=True)
    assert [page for page, _ in asked.redirect_chain][-1] == "/admin/code/?next=%2Fadmin%2Facl%2Frule%2F"

    answer = browser.submit(asked.redirect_chain[-1][0], code=device.code())

    assert answer["Location"] == "/admin/acl/rule/"
    assert opens(browser, "/admin/acl/rule/")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_the_code_leads_to_no_other_site(browser: Browser, device: Device, target: str) -> None:
    answer = browser.submit(f"{CODE_PAGE}?next={target}", code=device.code())

    assert answer["Location"] == "/admin/"


@pytest.mark.parametrize("seconds", [-60, 120])
def test_a_code_of_another_time_is_refused(browser: Browser, device: Device, seconds: int) -> None:
    browser.submit(CODE_PAGE, code=device.code(seconds))

    assert not opens(browser)


@pytest.mark.parametrize("code", ["", "00000", "0000000", "\uff11" * 6, "\x00", "é" * 6, "0" * 1000])
def test_what_is_no_code_is_refused(browser: Browser, code: str) -> None:
    assert browser.submit(CODE_PAGE, code=code).status_code == 200
    assert not opens(browser)


def test_a_code_counts_once(browser: Browser, device: Device) -> None:
    browser.submit(CODE_PAGE, code=device.code())
    other = Browser()
    other.log_in("root", PASSWORD)

    other.submit(CODE_PAGE, code=device.code())

    assert not opens(other)


def test_the_code_of_the_setting_up_does_not_count_again(browser: Browser, device: Device) -> None:
    browser.submit(CODE_PAGE, code=device.code(0))

    assert not opens(browser)


def test_an_earlier_code_does_not_count_after_a_later_one(browser: Browser, device: Device) -> None:
    with at(device.set_up_at + 90):
        browser.submit(CODE_PAGE, code=device.code(90))
        other = Browser()
        other.log_in("root", PASSWORD)
        other.submit(CODE_PAGE, code=device.code(60))

    assert opens(browser)
    assert not opens(other)


def test_a_recovery_code_opens_the_admin_once(browser: Browser, device: Device) -> None:
    browser.submit(CODE_PAGE, code=device.codes[0].upper().replace("-", " "))
    other = Browser()
    other.log_in("root", PASSWORD)
    other.submit(CODE_PAGE, code=device.codes[0])

    assert opens(browser)
    assert not opens(other)


def test_another_accounts_code_is_refused(browser: Browser, db: None) -> None:
    Account.objects.create_superuser("other", "another password")
    theirs = Browser()
    theirs.log_in("other", "another password")
    device = set_up(theirs)

    browser.submit(CODE_PAGE, code=device.code())
    browser.submit(CODE_PAGE, code=device.codes[0])

    assert not opens(browser)


def test_wrong_codes_are_throttled_as_wrong_passwords_are(browser: Browser, device: Device) -> None:
    for _ in range(10):
        browser.submit(CODE_PAGE, code="no code")

    text = browser.submit(CODE_PAGE, code=device.code()).content.decode()

    # Either of two counts may be the later one to end, by as long as the machine takes between them.
    assert re.search("Too many wrong (passwords for this account from this address|codes for this account); wait", text)
    assert not opens(browser)
    assert b"Too many wrong passwords" in Browser().log_in("root", PASSWORD).content


def test_wrong_codes_from_many_addresses_are_counted_together(browser: Browser, device: Device) -> None:
    for number in range(10):
        browser.client.defaults["REMOTE_ADDR"] = f"192.0.2.{number}"
        browser.submit(CODE_PAGE, code="no code")

    browser.client.defaults["REMOTE_ADDR"] = "192.0.2.99"
    answer = browser.submit(CODE_PAGE, code=device.code())

    assert "Too many wrong codes for this account; wait" in answer.content.decode()


@pytest.fixture
def kept_out(browser: Browser, device: Device) -> Browser:
    """Let somebody with the password spend the tries for codes; return the owner's browser, elsewhere."""
    for number in range(10):
        browser.client.defaults["REMOTE_ADDR"] = f"192.0.2.{number}"
        browser.submit(CODE_PAGE, code="no code")
    owner = Browser()
    owner.client.defaults["REMOTE_ADDR"] = "198.51.100.1"
    owner.log_in("root", PASSWORD)
    owner.submit(CODE_PAGE, code=device.code())
    assert not opens(owner)
    return owner


def test_a_recovery_code_opens_the_admin_whatever_others_have_guessed(kept_out: Browser, device: Device) -> None:
    kept_out.submit(CODE_PAGE, code=device.codes[0])

    assert opens(kept_out)


def test_a_new_password_ends_the_count_of_wrong_codes(kept_out: Browser, device: Device, root: Account) -> None:
    root.set_password("a new password of root")
    root.save()

    kept_out.log_in("root", "a new password of root")
    kept_out.submit(CODE_PAGE, code=device.code())

    assert opens(kept_out)


def test_wrong_recovery_codes_count_as_wrong_codes(browser: Browser, device: Device) -> None:
    for _ in range(10):
        browser.submit(CODE_PAGE, code="aaaa-bbbb-cccc-dddd")

    browser.client.defaults["REMOTE_ADDR"] = "192.0.2.99"
    browser.submit(CODE_PAGE, code=device.code())

    assert not opens(browser)


def test_the_session_has_another_key_after_the_code(browser: Browser, device: Device) -> None:
    before = browser.client.cookies["registry_login"].value

    browser.submit(CODE_PAGE, code=device.code())

    assert browser.client.cookies["registry_login"].value != before
    assert not Session.objects.filter(pk=before).exists()


def test_somebody_else_may_log_in_in_its_place(browser: Browser) -> None:
    browser.submit(CODE_PAGE, leave="1", code=None)

    assert "password" in browser.text("/admin/login/")


def test_setting_it_up_ends_the_other_sessions(root: Account) -> None:
    here, there = Browser(), Browser()
    here.client.force_login(root)
    there.client.force_login(root)

    set_up(here)

    assert opens(here)
    assert not opens(there)
    assert there.get(CODE_PAGE)["Location"].startswith("/admin/login/")


def test_a_wrong_first_code_sets_nothing_up(admin: Browser, root: Account) -> None:
    admin.submit(OWN_PAGE, code="000000")

    assert not SecondFactor.objects.exists()
    assert opens(admin)


def test_the_page_has_a_code_for_apps_to_read(admin: Browser) -> None:
    page = admin.text(OWN_PAGE)

    assert "<svg" in page
    assert re.search(r"otpauth://totp/Registry:root%40testserver\?digits=6&amp;secret=[A-Z2-7]{32}&amp;", page)


def test_the_secret_is_shown_while_it_is_set_up_and_never_again(admin: Browser, device: Device, root: Account) -> None:
    shown = [device.secret, device.secret.replace(" ", ""), *device.codes, SecondFactor.objects.get().seed]
    pages = [OWN_PAGE, "/admin/", "/admin/accounts/account/", f"/admin/accounts/account/{root.pk}/change/"]

    html = "".join(admin.text(page) for page in pages)

    assert "set up on" in html
    assert not [secret for secret in shown if secret in html]


def test_a_dump_of_the_database_has_no_secret(device: Device) -> None:
    rows: list[Any] = [*SecondFactor.objects.all(), *RecoveryCode.objects.all(), *Session.objects.all()]
    dump = serializers.serialize("json", rows) + "".join(str(session.get_decoded()) for session in rows[11:])

    secret = base64.b32decode(device.secret.replace(" ", ""))
    shapes = [secret.hex(), device.secret.replace(" ", ""), *device.codes, *(c.replace("-", "") for c in device.codes)]
    assert not [shape for shape in shapes if shape in dump]


def test_another_secret_key_makes_other_secrets(settings: Settings) -> None:
    before = second_factor.secret_text("seed")

    settings.SECRET_KEY = "another key than the one that there was before"

    assert second_factor.secret_text("seed") != before


def test_new_recovery_codes_take_the_place_of_the_old(admin: Browser, browser: Browser, device: Device) -> None:
    answer = admin.submit(OWN_PAGE, code=device.code(), renew="")
    renewed = re.findall(r"<code>([a-z2-7-]{19})</code>", answer.content.decode())

    browser.submit(CODE_PAGE, code=device.codes[0])
    assert not opens(browser)
    browser.submit(CODE_PAGE, code=renewed[0])

    assert opens(browser)


def test_a_session_without_a_code_removes_nothing(admin: Browser, device: Device) -> None:
    admin.submit(OWN_PAGE, code="000000", remove="")

    assert SecondFactor.objects.exists()


def passed(device: Device) -> Browser:
    """Return a browser of root's that has shown password and code: or somebody who copied its cookie."""
    browser = Browser()
    browser.log_in("root", PASSWORD)
    browser.submit(CODE_PAGE, code=device.codes.pop())
    assert opens(browser)
    return browser


def test_it_is_removed_with_a_code_which_ends_the_other_sessions(
    admin: Browser, browser: Browser, device: Device
) -> None:
    copy = passed(device)

    admin.submit(OWN_PAGE, code=device.code(), remove="")

    assert not SecondFactor.objects.exists()
    assert opens(admin)
    assert not opens(browser)
    assert not opens(copy)


def test_whose_session_ended_by_the_removal_logs_in_with_the_password(admin: Browser, device: Device) -> None:
    admin.submit(OWN_PAGE, code=device.code(), remove="")
    browser = Browser()

    browser.log_in("root", PASSWORD)

    assert opens(browser)


def test_who_had_shown_the_password_alone_sets_no_device_up_after_the_removal(
    required: None, browser: Browser, device: Device
) -> None:
    call_command("removesecondfactor", "root")

    assert browser.get(OWN_PAGE)["Location"].startswith("/admin/login/")


def test_a_session_of_before_does_not_come_back_with_another_setting_up(admin: Browser, device: Device) -> None:
    copy = passed(device)
    admin.submit(OWN_PAGE, code=device.code(), remove="")
    set_up(admin)

    assert opens(admin)
    assert not opens(copy)
    assert copy.get(CODE_PAGE)["Location"].startswith("/admin/login/")


def test_who_must_have_one_opens_nothing_but_its_page(required: None, root: Account) -> None:
    browser = Browser()
    browser.log_in("root", PASSWORD)

    asked = browser.client.get("/admin/acl/rule/", follow=True)

    page = asked.content.decode()
    assert asked.redirect_chain[-1][0] == "/admin/second-factor/?next=%2Fadmin%2Facl%2Frule%2F"
    assert "Access rules" not in page
    assert "This admin requires a second factor." in page
    assert "permission to view or edit" not in page
    assert not opens(browser, "/admin/accounts/account/")


def test_who_has_set_it_up_goes_on(required: None, root: Account) -> None:
    browser = Browser()
    browser.log_in("root", PASSWORD)

    set_up(browser)

    assert opens(browser)


def test_who_must_have_one_may_log_in_as_somebody_else(required: None, root: Account) -> None:
    browser = Browser()
    browser.log_in("root", PASSWORD)

    browser.submit(OWN_PAGE, leave="1", code=None)

    assert "password" in browser.text("/admin/login/")


def test_the_recovery_codes_lead_on_and_stay_when_their_page_is_loaded_again(admin: Browser, root: Account) -> None:
    page = f"{OWN_PAGE}?next=/admin/acl/rule/"
    fields: dict[str, Any] = dict(form_of(admin.text(page)))
    (secret,) = re.findall(r'id="secret"[^>]*>([A-Z2-7 ]+)<', admin.text(page))
    fields["code"] = code_of(secret, time.time())

    shown = admin.client.post(page, fields).content.decode()
    again = admin.client.post(page, fields).content.decode()

    assert '<a class="text-link" href="/admin/acl/rule/">I have them</a>' in shown
    assert "10 recovery codes left" in again
    assert "This code is wrong" not in again
    assert not FailedLogin.objects.exists()


def test_who_is_no_staff_gets_no_page_of_it(required: None, alice: Caller) -> None:
    browser = Browser()
    browser.client.force_login(Account.objects.get(name="alice"))

    assert browser.get(OWN_PAGE)["Location"].startswith("/admin/login/")
    assert browser.get(CODE_PAGE)["Location"].startswith("/admin/login/")


def act(browser: Browser, *accounts: Account) -> Response:
    """Choose to remove the second factor of accounts in the list."""
    rows = [str(account.pk) for account in accounts]
    return browser.post("/admin/accounts/account/", {"action": "remove_second_factor", "_selected_action": rows})


def confirm(browser: Browser, asked: Response) -> Response:
    """Submit the page that asks whether one is sure."""
    assert asked.status_code == 200, asked
    return browser.client.post("/admin/accounts/account/", dict(form_of(asked.content.decode())), follow=True)


def test_a_superuser_removes_that_of_somebody_else(admin: Browser, device: Device, root: Account) -> None:
    other = Browser()
    other.client.force_login(Account.objects.create_superuser("other", "another password"))

    copy = passed(device)

    told = messages_of(confirm(other, act(other, root)))

    assert told == ["Removed the second factor of root."]
    assert not SecondFactor.objects.exists()
    assert not opens(copy)
    assert messages_of(other.client.get(act(other, root)["Location"])) == [
        "None of the selected accounts has a second factor."
    ]


@pytest.mark.parametrize("is_required", [False, True])
def test_a_page_says_what_becomes_of_those_that_have_one(
    is_required: bool, device: Device, root: Account, alice: Caller, settings: Settings
) -> None:
    other = Browser()
    other.client.force_login(Account.objects.create_superuser("other", "another password"))
    set_up(other)
    copy = passed(device)
    settings.REGISTRY = replace(settings.REGISTRY, admin=Admin(require_second_factor=is_required))

    asked = " ".join(act(other, root, Account.objects.get(name="alice")).content.decode().split())

    assert "remove the second factor of this account?" in asked
    assert "the sessions of the admin end." in asked
    assert ("has to set up a new one." in asked) is is_required
    assert ("the password alone opens the admin" in asked) is not is_required
    assert ("<li>root</li>" in asked, "<li>alice</li>" in asked) == (True, False)
    assert opens(copy)


def test_a_superuser_does_not_remove_the_own_one_without_a_code(admin: Browser, device: Device, root: Account) -> None:
    other = Account.objects.create_superuser("other", "another password")
    SecondFactor.objects.create(account=other, seed=second_factor.new_seed(), last_step=0)

    asked = act(admin, root, other)
    told = messages_of(confirm(admin, asked))

    assert list(SecondFactor.objects.values_list("account__name", flat=True)) == ["root"]
    assert "Your own second factor is removed on its page, with a code." in messages_of(asked)
    assert told == ["Removed the second factor of other."]


def test_who_manages_accounts_and_is_no_superuser_does_not(manager: Browser, device: Device, root: Account) -> None:
    row = {"action": "remove_second_factor", "_selected_action": str(root.pk)}

    manager.post("/admin/accounts/account/", row | {"post": "yes"})

    assert SecondFactor.objects.exists()


def test_the_list_says_who_has_one(admin: Browser, device: Device, alice: Caller) -> None:
    accounts = "/admin/accounts/account/"

    names = {
        choice: re.findall(r"/change/\?[^>]*>(\w+)</a>", admin.text(accounts, second_factor=choice))
        for choice in ("with", "without")
    }

    assert names == {"with": ["root"], "without": ["alice", "bob", "charlie"]}


def test_the_list_asks_once_for_all_second_factors(admin: Browser, alice: Caller, bob: Caller) -> None:
    with CaptureQueriesContext(connection) as asked:
        admin.text("/admin/accounts/account/")

    assert not [query for query in asked if query["sql"].startswith('SELECT "accounts_secondfactor"')][1:]


def test_an_operator_removes_it_by_a_command_which_ends_the_sessions(
    device: Device, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    copy = passed(device)

    call_command("removesecondfactor", "root")

    (told,) = [record for record in caplog.records if record.message == "second factor removed"]
    assert (told.account, told.grant) == ("root", "command")  # type: ignore[attr-defined]  # of the log's `extra`
    assert capsys.readouterr().out == "Removed the second factor of root.\n"
    assert not opens(copy)


@pytest.mark.parametrize(("name", "said"), [("root", "root has no second factor."), ("x", "There is no account x.")])
def test_the_command_says_what_is_not_there(root: Account, name: str, said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)):
        call_command("removesecondfactor", name)


def test_an_account_is_deleted_with_its_second_factor(device: Device, root: Account) -> None:
    other = Browser()
    other.client.force_login(Account.objects.create_superuser("other", "another password"))

    other.delete_selected("/admin/accounts/account/", root.pk)

    assert not Account.objects.filter(name="root").exists()
    assert not RecoveryCode.objects.exists()


def test_the_api_takes_no_session_and_the_password_gives_tokens(browser: Browser, alice: Caller) -> None:
    assert browser.get("/api/v1/whoami").status_code == 401
    assert Caller(alice.client, "root", PASSWORD).get("/v2/").status_code == 200


def test_a_code_opens_the_admin_while_the_database_cannot_be_written_and_counts_once(
    browser: Browser, device: Device
) -> None:
    other = Browser()
    other.log_in("root", PASSWORD)

    with patch.object(second_factor, "short_transaction", side_effect=OperationalError("disk is full")):
        browser.submit(CODE_PAGE, code=device.code())
        other.submit(CODE_PAGE, code=device.code())
    other.submit(CODE_PAGE, code=device.code())

    assert opens(browser)
    assert not opens(other)


def test_a_code_that_was_used_does_not_count_when_the_database_cannot_be_written_since(
    browser: Browser, device: Device
) -> None:
    browser.submit(CODE_PAGE, code=device.code())
    other = Browser()
    other.log_in("root", PASSWORD)

    with patch.object(second_factor, "short_transaction", side_effect=OperationalError("disk is full")):
        other.submit(CODE_PAGE, code=device.code())

    assert not opens(other)


def test_of_two_processes_that_get_a_code_at_once_one_takes_it(device: Device) -> None:
    one, other = SecondFactor.objects.get(), SecondFactor.objects.get()
    request = RequestFactory().get("/")

    with at(device.set_up_at + 30):
        assert second_factor.verify_code(one, device.code(), request)
        assert not second_factor.verify_code(other, device.code(), request)
