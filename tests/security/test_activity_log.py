"""A line for each login, push of a tag, deletion and admin login: who did what, from where."""

import json
import logging
from collections.abc import Callable
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from accounts import authentication, login_log
from accounts.models import Account, FailedLogin
from accounts.throttling import throttle
from accounts.throttling.password_queue import PasswordQueue
from core.json_log import JsonFormatter
from distribution.models import Tag
from tests.admin.browser import Browser
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import Image, manifest, push_blob, put_manifest
from tests.process_memory import forget_passwords
from tokens.views import OTHER_ACCOUNT

ADDRESS = "192.0.2.5"
Events = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Events:
    """Return what was logged under a message, without what every line has."""
    forget_passwords()
    caplog.set_level(logging.INFO)
    formatter = JsonFormatter()

    def found(message: str) -> list[dict[str, Any]]:
        lines = [json.loads(formatter.format(record)) for record in caplog.records]
        return [
            {key: line[key] for key in line.keys() - {"at", "message", "logger"}}
            for line in lines
            if line["message"] == message
        ]

    return found


@pytest.fixture
def elsewhere(cast: None) -> Client:
    """Return a client at ADDRESS."""
    return Client(REMOTE_ADDR=ADDRESS)


def token_form(**fields: str) -> dict[str, str]:
    return {"service": "Docker Registry", **fields}


def about(account: str | None, grant: str, level: str = "info") -> dict[str, Any]:
    return {"level": level, "account": account, "client": ADDRESS, "grant": grant}


def test_a_login_by_basic_authentication_is_logged(elsewhere: Client, events: Events) -> None:
    Caller(elsewhere, "alice", PASSWORDS["alice"]).ask_token()
    Caller(elsewhere, "alice", "wrong").ask_token()

    assert events("login") == [about("alice", "basic")]
    assert events("login refused") == [about("alice", "basic", "warning")]


def test_a_login_by_a_form_and_by_a_refresh_token_is_logged(elsewhere: Client, events: Events) -> None:
    password = token_form(grant_type="password", username="alice", password=PASSWORDS["alice"], access_type="offline")
    refresh_token = post(elsewhere, password).json()["refresh_token"]
    post(elsewhere, token_form(grant_type="refresh_token", refresh_token=refresh_token))
    post(elsewhere, token_form(grant_type="refresh_token", refresh_token="rrt_wrong"))

    assert events("login") == [about("alice", "password"), about("alice", "refresh_token")]
    assert events("refresh token refused") == [about(None, "refresh_token", "warning")]


def post(client: Client, fields: dict[str, str]) -> Any:
    """Send a form to the token endpoint as clients do."""
    return client.post("/v2/token", urlencode(fields), content_type="application/x-www-form-urlencoded")


def test_an_anonymous_token_is_no_login(elsewhere: Client, events: Events) -> None:
    elsewhere.get("/v2/token?service=Docker+Registry")

    assert events("login") == []


def test_a_login_that_the_throttle_refuses_says_so(elsewhere: Client, events: Events) -> None:
    shut(elsewhere, "alice")

    Caller(elsewhere, "alice", "another").ask_token()
    elsewhere.get("/api/v1/whoami", headers={"Authorization": Caller(elsewhere, "alice", "third").basic})

    assert events("login refused after too many wrong passwords") == [
        about("alice", "basic", "warning"),
        about("alice", "api", "warning"),
    ]


def test_a_wrong_password_for_the_api_is_logged(elsewhere: Client, events: Events) -> None:
    elsewhere.get("/api/v1/whoami", headers={"Authorization": Caller(elsewhere, "alice", "wrong").basic})

    assert events("login refused") == [about("alice", "api", "warning")]


@pytest.mark.parametrize(("path", "grant"), [("/v2/token", "basic"), ("/api/v1/whoami", "api")])
def test_a_malformed_header_is_logged(elsewhere: Client, events: Events, path: str, grant: str) -> None:
    elsewhere.get(path, headers={"Authorization": "Basic !"})

    assert events(login_log.MALFORMED) == [about(None, grant, "warning")]


def test_a_login_for_another_account_is_logged(elsewhere: Client, events: Events) -> None:
    Caller(elsewhere, "alice", PASSWORDS["alice"]).ask_token(account="bob")

    assert events(OTHER_ACCOUNT) == [about("alice", "basic", "warning")]


def test_a_login_that_finds_no_place_is_logged(
    elsewhere: Client, browser: Browser, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Caller(elsewhere, "alice", "not checked before")
    queue = PasswordQueue(cores=1, length=100)
    monkeypatch.setattr(authentication, "_queue", lambda: queue)
    monkeypatch.setattr(authentication, "QUEUE_SECONDS", 0.01)

    with authentication.place():
        alice.ask_token()
        elsewhere.get("/api/v1/whoami", headers={"Authorization": alice.basic})
        browser.log_in("root", "the password of root")

    assert events(login_log.BUSY) == [
        about("alice", "basic", "warning"),
        about("alice", "api", "warning"),
        about("root", "admin", "warning"),
    ]


def shut(client: Client, account: str) -> None:
    """Let no password of the account be looked at from the address of `client`."""
    network = client.defaults["REMOTE_ADDR"]
    forgiven_at = timezone.now() + throttle.OF_ACCOUNT.forgiven_after * (throttle.OF_ACCOUNT.tries + 1)
    FailedLogin.objects.create(account=account, network=network, forgiven_at=forgiven_at)


@pytest.fixture
def browser(cast: None) -> Browser:
    """Return a browser at ADDRESS, and a superuser to log in."""
    Account.objects.create_superuser("root", "the password of root")
    browser = Browser()
    browser.client.defaults["REMOTE_ADDR"] = ADDRESS
    return browser


def test_a_login_to_the_admin_is_logged(browser: Browser, events: Events) -> None:
    browser.log_in("root", "wrong")
    browser.log_in("root", "")
    browser.log_in("alice", PASSWORDS["alice"])
    browser.log_in("root", "the password of root")

    assert events("login refused") == [about("root", "admin", "warning"), about("alice", "admin", "warning")]
    assert events("login") == [about("root", "admin")]


def test_the_admin_says_that_the_throttle_refuses(browser: Browser, events: Events) -> None:
    shut(browser.client, "root")

    page = browser.log_in("root", "the password of root").content.decode()

    assert "Too many wrong passwords for this account from this address; wait " in page
    assert events("login refused after too many wrong passwords") == [about("root", "admin", "warning")]
    assert browser.get("/admin/").status_code == 302


def by(account: str, **what: str) -> dict[str, Any]:
    return {"level": "info", "account": account, "client": "127.0.0.1", **what}


def test_the_push_of_a_tag_is_logged(alice: Caller, push: Callable[..., Image], events: Events) -> None:
    image = push("alice/app", "v1")

    assert events("tag pushed") == [by("alice", repository="alice/app", tag="v1", digest=image.digest)]


def test_each_tag_of_one_push_is_logged_and_a_push_without_a_tag_is_not(alice: Caller, events: Events) -> None:
    push_blob(alice, "alice/app", b"{}")
    payload = manifest(b"{}")
    digest = put_manifest(alice, "alice/app", "v1", payload).headers["Docker-Content-Digest"]
    put_manifest(alice, "alice/app", digest, payload)
    put_manifest(alice, "alice/app", f"{digest}?tag=v2&tag=v3", payload)

    assert [event["tag"] for event in events("tag pushed")] == ["v1", "v2", "v3"]


def test_a_push_that_is_refused_is_no_line(alice: Caller, events: Events) -> None:
    alice.put("/v2/alice/app/manifests/v1", manifest(b"{}"))

    assert events("tag pushed") == []


@pytest.mark.parametrize("tags", [1, 3])
def test_each_deletion_in_the_admin_is_logged(
    browser: Browser, push: Callable[..., Image], events: Events, tags: int
) -> None:
    for number in range(tags):
        push("alice/app", f"v{number}")
    browser.log_in("root", "the password of root")
    pks = Tag.objects.order_by("pk").values_list("pk", flat=True)

    if tags == 1:
        browser.submit(f"/admin/distribution/tag/{pks[0]}/delete/")
    else:
        browser.delete_selected("/admin/distribution/tag/", *pks)

    about = {"level": "info", "account": "root", "client": ADDRESS}
    deleted = [{"what": f"alice/app:v{number}", **about} for number in range(tags)]
    assert sorted(events("tag deleted"), key=itemgetter("what")) == deleted


def test_each_deletion_is_logged(alice: Caller, push: Callable[..., Image], events: Events) -> None:
    image = push("alice/app", "v1")
    for path in (f"manifests/{image.digest}", f"blobs/{image.config}", "manifests/v1", "manifests/v1"):
        alice.delete(f"/v2/alice/app/{path}")
    push("alice/app", "v1")
    alice.delete("/v2/alice/app/manifests/v1")

    assert events("manifest deleted") == [by("alice", repository="alice/app", digest=image.digest)]
    assert events("blob deleted") == [by("alice", repository="alice/app", digest=image.config)]
    assert events("tag deleted") == [by("alice", repository="alice/app", tag="v1")]
