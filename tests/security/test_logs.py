"""Logs name who was refused what and why, and hold no secret."""

import base64
import json
import logging
import re
from collections.abc import Callable

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import Client

from accounts import permissions_version
from accounts.known_names import UNKNOWN_NAME
from accounts.models import Account
from acl.models import Rule
from core.json_log import JsonFormatter
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import Image
from tests.process_memory import forget_passwords
from tests.security import forge

WRONG = "a wrong password that is a secret all the same"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what the server would have written since the test began, line by line, at every level."""
    forget_passwords()
    caplog.set_level(logging.DEBUG)
    formatter = JsonFormatter()
    return lambda: [formatter.format(record) for record in caplog.records]


def failing(*_: object) -> str:
    raise OperationalError("the disk is full")


def unexpected(*_: object) -> str:
    raise ImproperlyConfigured("something else")


def use_everything(alice: Caller, charlie: Caller, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Send requests that succeed, are refused and break the server; return their tokens."""
    tokens = [alice.token("repository:alice/app:pull"), charlie.token("repository:alice/app:pull")]
    forged = [forge.signed(forge.claims(exp=1)), forge.signed(forge.claims(), forge.header(kid="x")), "garbage-token"]
    for caller in (alice, charlie):
        for path in ("/v2/", "/v2/alice/app/manifests/v1", "/v2/_catalog"):
            caller.get(path)
    for token in forged:
        alice.get("/v2/alice/app/manifests/v1", token=token)
    Caller(Client(), "alice", WRONG).ask_token()
    for number in range(11):
        Caller(Client(), "alice", f"{WRONG} {number}").ask_token()
    Client().get("/v2/token", headers={"Authorization": f"Bearer {tokens[0]}"})
    Client().get("/api/v1/whoami", headers={"Authorization": alice.basic})
    Client().get("/api/v1/whoami", headers={"Authorization": Caller(Client(), "bob", WRONG).basic})
    Client().post("/admin/login/", {"username": "bob", "password": WRONG})
    for broken in (failing, unexpected):
        with monkeypatch.context() as patch:
            patch.setattr(permissions_version, "current", broken)
            assert alice.get("/v2/").status_code >= 500
            assert alice.ask_token().status_code >= 500
    return [*tokens, *forged]


def test_no_secret_is_logged(
    alice: Caller, charlie: Caller, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = [stored.removeprefix("bcrypt$") for stored in Account.objects.values_list("password", flat=True)]

    tokens = use_everything(alice, charlie, monkeypatch)

    text = "\n".join(lines())
    assert "login refused" in text
    assert "the disk is full" in text
    signatures = [token.rpartition(".")[2] for token in tokens]
    encoded = [base64.b64encode(f"{name}:{word}".encode()).decode() for name, word in PASSWORDS.items()]
    for secret in [*PASSWORDS.values(), WRONG, *hashes, *tokens, *signatures, *encoded, alice.basic, "Authorization"]:
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text


def test_no_error_repeats_a_secret(alice: Caller) -> None:
    token = forge.signed(forge.claims(exp=1))
    answers = [
        alice.get("/v2/", token=token),
        Caller(Client(), "alice", WRONG).ask_token(),
        Client().get("/v2/token", headers={"Authorization": f"Bearer {token}"}),
        Client().get("/api/v1/whoami", headers={"Authorization": Caller(Client(), "alice", WRONG).basic}),
    ]

    for response in answers:
        seen = response.content.decode() + str(response.headers)
        assert response.status_code == 401
        assert token not in seen
        assert WRONG not in seen


def test_a_refusal_names_account_action_repository_and_rules(bob: Caller, lines: Callable[[], list[str]]) -> None:
    bob.put("/v2/alice/app/manifests/v1")

    (line,) = [json.loads(line) for line in lines() if "access refused" in line]
    assert line["account"] == "bob"
    assert line["repository"] == "alice/app"
    assert line["actions"] == "push"
    assert line["rules"] == ["bob may pull alice/*"]
    assert line["reason"] == "no rule allows bob to push alice/app"


def test_a_refusal_without_any_rule_says_so(charlie: Caller, lines: Callable[[], list[str]]) -> None:
    charlie.get("/v2/alice/app/manifests/v1")

    (line,) = [json.loads(line) for line in lines() if "access refused" in line]
    assert (line["account"], line["rules"]) == ("charlie", [])


def test_a_refused_login_names_account_and_client(cast: None, lines: Callable[[], list[str]]) -> None:
    Caller(Client(REMOTE_ADDR="192.0.2.5"), "alice", WRONG).ask_token()

    (line,) = [json.loads(line) for line in lines() if "login refused" in line]
    assert (line["account"], line["client"]) == ("alice", "192.0.2.5")


@pytest.mark.parametrize("path", ["/v2/token", "/api/v1/whoami", "/login", "/admin/login/"])
def test_a_password_in_the_place_of_a_name_is_stored_nowhere(
    cast: None,
    lines: Callable[[], list[str]],
    written: Written,  # noqa: F811
    path: str,
) -> None:
    typed, client = "correct-horse-battery", Client(REMOTE_ADDR="192.0.2.5")
    if path.endswith(("login", "login/")):
        client.post(path, {"username": typed, "password": "x"})
    else:
        client.get(path, headers={"Authorization": Caller(client, typed, "x").basic})

    (line,) = [json.loads(line) for line in lines() if "login refused" in line]
    assert (line["account"], line["client"]) == (UNKNOWN_NAME, "192.0.2.5")
    (event,) = [event for event in written() if event.kind == "login_refused"]
    assert (event.account, event.address) == (UNKNOWN_NAME, "192.0.2.5")
    assert typed not in "\n".join(lines())


def test_a_refused_token_says_why(alice: Caller, lines: Callable[[], list[str]]) -> None:
    alice.get("/v2/", token=forge.signed(forge.claims(), forge.header(kid="x")))

    (line,) = [json.loads(line) for line in lines() if "token refused" in line]
    assert line["reason"] == "the token names a key that is not known here"


def test_a_name_of_control_characters_forges_no_line(cast: None, lines: Callable[[], list[str]]) -> None:
    name = '\nmallory\r\x1b[2J\x00\u2028\u202e","level"="error'
    Caller(Client(), name, "x").ask_token()

    logged = lines()

    for line in logged:
        assert line.isascii()
        assert line.isprintable()
    (event,) = [json.loads(line) for line in logged if "login refused" in line]
    assert event["account"] == UNKNOWN_NAME
    assert event["level"] != "error"


def test_an_exception_is_one_line() -> None:
    with pytest.raises(ValueError, match="first") as caught:
        int("first\nsecond")
    about = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "it\nbroke", (), about)

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert json.loads(line)["message"] == "it\nbroke"
    assert "Traceback (most recent call last):\n" in json.loads(line)["exception"]


@pytest.mark.parametrize("created", [0.0, 1_700_000_000.123456])
def test_the_time_has_milliseconds_as_in_the_access_log(created: float) -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "it", (), None)
    record.created = created

    at = json.loads(JsonFormatter().format(record))["at"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)


def test_a_broken_rule_is_logged_with_its_number(bob: Caller, lines: Callable[[], list[str]]) -> None:
    rule = Rule.objects.create(subject_kind="account", subject="bob", name="[", actions="pull")

    bob.token("repository:alice/app:pull")

    assert any(f"access rule {rule.pk} is not valid" in line for line in lines())


def test_a_pushed_image_leaves_no_secret(push: Callable[..., Image], lines: Callable[[], list[str]]) -> None:
    push("alice/app", "v1")

    assert not any(PASSWORDS["alice"] in line or "eyJ" in line for line in lines())
