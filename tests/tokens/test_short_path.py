"""Tokens on the short path: the same response, log and limits as those of the view, or none at all."""

import json
import logging
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import permissions_version
from accounts.authentication import identify
from accounts.models import Account
from accounts.throttling.login_rate import login_rate
from acl.models import Rule
from core.api.notes import ACCOUNT, REQUEST_ID, ROUTE
from registry_project import front_door
from registry_project.short_path import ShortPath
from server.listener import LISTENER
from tests.caller import Caller
from tests.conftest import hashed
from tests.security import forge

ADDRESS = "192.0.2.1"
SCOPE = "repository:alice/app:pull,fly"
QUERY = urlencode({"service": "Docker Registry", "scope": SCOPE, "account": "alice"})

Answer = tuple[int, dict[str, str], dict[str, Any]]


@pytest.fixture(autouse=True)
def checked(alice: Caller) -> None:
    """Check the password of alice once, so that this process knows it."""
    assert identify("alice", alice.password) is not None


def short(query: str = QUERY, *fields: tuple[str, str], **more: Any) -> tuple[Answer | None, dict[str, Any]]:
    """Return the response, None when the path declines, and the environment with its notes."""
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": f"/v2/token?{query}",
        "PATH_INFO": "/v2/token",
        "REMOTE_ADDR": ADDRESS,
        "wsgi.url_scheme": "http",
        REQUEST_ID: "1",
        LISTENER: ("127.0.0.1", 5000),
        **more,
    }
    found = ShortPath(front_door.RegistryChain())(environ, fields)
    return None if found is None else _comparable(found.status, found.headers, found.payload), environ


def served(query: str = QUERY, *fields: tuple[str, str]) -> Answer:
    """Return the response of the view."""
    response = Client().get(f"/v2/token?{query}", headers=dict(fields), REMOTE_ADDR=ADDRESS)
    return _comparable(response.status_code, dict(response.headers), response.content)


def _comparable(status: int, headers: dict[str, str], payload: bytes) -> Answer:
    """Replace the tokens by their claims, without those of the moment."""
    assert headers.get("Content-Length") == str(len(payload))
    body = json.loads(payload)
    if "token" in body:
        assert body["token"] == body.pop("access_token")
        header, claims, _ = (forge.decoded(part) for part in body["token"].split("."))
        lasting = json.loads(claims)
        for name in ("exp", "nbf", "iat", "jti"):
            del lasting[name]
        body |= {"token": [json.loads(header), lasting], "issued_at": ""}
    return status, headers, body


def basic(text: str) -> tuple[str, str]:
    return "AUTHORIZATION", "Basic " + b64encode(text.encode()).decode()


@pytest.fixture
def right(alice: Caller) -> tuple[str, str]:
    """Return the header field with the right password of alice."""
    return "AUTHORIZATION", alice.basic


@pytest.mark.parametrize(
    "query",
    [
        *(QUERY, "", "scope=", "a=b&a=c", QUERY.replace("alice%2Fapp", "alice/app"), f"{QUERY}&offline_token=false"),
        urlencode([("scope", "repository:alice/a:* repository:alice/b:push"), ("scope", "registry:catalog:*")]),
        urlencode([("scope", f"repository:alice/{'a' * 200}{number}:pull") for number in range(4)]),
    ],
)
def test_a_token_is_answered_and_noted_as_by_the_view(right: tuple[str, str], query: str) -> None:
    for fields in ([right], [], [basic(":")]):
        found, environ = short(query, *fields)

        assert found == served(query, *fields)
        assert environ[ROUTE].url_name == "token"
        assert environ.get(ACCOUNT) == ("alice" if fields == [right] else None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((QUERY, basic(text)) for text in ("alice:wrong", "bob:wrong", "nobody:nothing", ":password", "no colon")),
        *((QUERY, ("AUTHORIZATION", value)) for value in ("Bearer token", "Basic", "Basic %", "nonsense")),
        *((query, None) for query in ("service=other", "scope=nonsense", "account=bob", "offline_token=true")),
        ("&".join(["a=b"] * 2000), None),
        ("x=" + "a" * 2000, None),
        (QUERY, ("CONTENT-TYPE", "text/plain; charset=utf-16")),
    ],
)
def test_refusals_and_other_requests_are_left_to_the_view(
    right: tuple[str, str], query: str, field: tuple[str, str] | None
) -> None:
    fields = [right] if field is None else [field] if field[0] == right[0] else [right, field]

    with CaptureQueriesContext(connection) as asked:
        found, environ = short(query, *fields)

    assert found is None
    assert ACCOUNT not in environ
    assert all(statement["sql"].startswith("SELECT") for statement in asked)


def test_head_and_a_repeated_authorization_are_left_to_the_view(right: tuple[str, str]) -> None:
    assert short(QUERY, right, REQUEST_METHOD="HEAD")[0] is None
    assert short(QUERY, right, right)[0] is None


def test_a_token_needs_one_statement(right: tuple[str, str]) -> None:
    short(QUERY, right)

    with CaptureQueriesContext(connection) as asked:
        assert short(QUERY, right)[0] is not None

    assert len(asked) == 1


def test_the_login_is_logged_and_counted(right: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    before = login_rate._counts.get(ADDRESS, 0)

    with caplog.at_level(logging.INFO):
        short(QUERY, right)
        short()

    logins = [vars(record) for record in caplog.records if record.getMessage() == "login"]
    assert [(entry["account"], entry["client"], entry["grant"]) for entry in logins] == [("alice", ADDRESS, "basic")]
    assert login_rate._counts[ADDRESS] == before + 2


def test_a_client_beyond_its_limit_gets_no_token(
    right: tuple[str, str], limit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(logins_per_minute=1)
    monkeypatch.setattr(login_rate, "_ends_at", 0.0)

    assert short(QUERY, right)[0] is not None
    assert short(QUERY, right)[0] is None
    assert short()[0] is None


def test_a_changed_account_gets_no_token_by_what_was_cached(right: tuple[str, str], alice: Caller) -> None:
    assert short(QUERY, right)[0] is not None

    Account.objects.filter(name="alice").update(password=hashed("another"))
    assert short(QUERY, right)[0] is None

    Account.objects.filter(name="alice").update(password=hashed(alice.password))
    assert identify("alice", alice.password) is not None
    assert short(QUERY, right)[0] is not None

    Account.objects.filter(name="alice").update(is_active=False)
    assert short(QUERY, right)[0] is None


def test_a_removed_rule_ends_with_the_next_token(right: tuple[str, str]) -> None:
    def actions() -> list[str]:
        found, _ = short(QUERY, right)
        assert found is not None
        return found[2]["token"][1]["access"][0]["actions"]  # type: ignore[no-any-return]

    assert actions() == ["pull"]
    Rule.objects.filter(subject="alice").delete()
    assert actions() == []


def test_a_fault_of_the_database_is_answered_as_by_the_view(
    right: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise OperationalError("database is locked")

    monkeypatch.setattr(permissions_version, "current", fail)

    found, _ = short(QUERY, right)

    assert found == served(QUERY, right)
    assert found is not None
    assert found[0] == 503
