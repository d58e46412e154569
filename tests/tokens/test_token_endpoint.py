"""`GET /v2/token`: who gets a token, for what, and what the answer looks like."""

import base64
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import bcrypt
import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from acl.models import Rule
from tests.caller import Caller, Response, error_codes
from tests.security import forge

pytestmark = pytest.mark.usefixtures("cast")

BASIC_CHALLENGE = 'Basic realm="Registry"'


def ask(authorization: str | bytes | None = None, **parameters: Any) -> Response:
    sent = {} if authorization is None else {"HTTP_AUTHORIZATION": authorization}
    return Client().get(f"/v2/token?{urlencode(parameters, doseq=True)}", **sent)  # type: ignore[arg-type]


def basic(text: str | bytes) -> str:
    return "Basic " + base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def granted(response: Response) -> list[tuple[str, str, list[str]]]:
    assert response.status_code == 200, response.content
    claims = json.loads(forge.decoded(response.json()["token"].split(".")[1]))
    return [(entry["type"], entry["name"], entry["actions"]) for entry in claims["access"]]


# ------------------------------------------------------------------ the answer


def test_the_answer_has_the_fields_that_clients_read(alice: Caller) -> None:
    body = alice.ask_token("repository:alice/app:pull").json()

    assert set(body) == {"token", "access_token", "expires_in", "issued_at", "scope"}
    assert body["token"] == body["access_token"]
    assert body["expires_in"] == 1800
    assert body["scope"] == "repository:alice/app:pull"


def test_the_time_of_issue_is_in_utc_and_says_so(alice: Caller) -> None:
    issued_at = alice.ask_token().json()["issued_at"]

    assert issued_at.endswith("Z")
    assert datetime.fromisoformat(issued_at).utcoffset() == timedelta(0)


def test_no_cache_keeps_a_token(alice: Caller) -> None:
    response = alice.ask_token()

    assert response["Cache-Control"] == "no-store"
    assert response["Content-Type"] == "application/json"
    assert response["Docker-Distribution-API-Version"] == "registry/2.0"


def test_no_cookie_is_set(alice: Caller) -> None:
    assert not alice.ask_token().cookies


def test_a_slash_at_the_end_is_no_redirect() -> None:
    assert Client().get("/v2/token/").status_code == 200


# ------------------------------------------------------------------ scopes


def test_scopes_come_repeated_and_in_one_parameter(alice: Caller) -> None:
    repeated = alice.ask_token("repository:alice/a:pull", "repository:alice/b:push")
    joined = alice.ask_token("repository:alice/a:pull repository:alice/b:push")

    expected = [("repository", "alice/a", ["pull"]), ("repository", "alice/b", ["push"])]
    assert granted(repeated) == granted(joined) == expected


def test_the_grant_is_what_was_asked_and_is_allowed(bob: Caller) -> None:
    assert granted(bob.ask_token("repository:alice/app:pull,push")) == [("repository", "alice/app", ["pull"])]


def test_nothing_allowed_is_no_error(charlie: Caller) -> None:
    response = charlie.ask_token("repository:alice/app:pull,push")

    assert granted(response) == [("repository", "alice/app", [])]
    assert response.json()["scope"] == ""


def test_what_was_not_asked_is_not_granted(alice: Caller) -> None:
    assert granted(alice.ask_token()) == []
    assert granted(alice.ask_token("repository:alice/app:")) == [("repository", "alice/app", [])]


def test_a_star_asks_for_all_that_is_allowed(alice: Caller, bob: Caller) -> None:
    assert granted(alice.ask_token("repository:alice/app:*")) == [
        ("repository", "alice/app", ["delete", "pull", "push"])
    ]
    assert granted(bob.ask_token("repository:alice/app:*")) == [("repository", "alice/app", ["pull"])]


@pytest.mark.parametrize(
    "scope",
    [
        "repository:registry.example:5000/alice/app:pull",
        "repository:ALICE/app:pull",
        "repository:alice/../app:pull",
        "repository:alice//app:pull",
        "repository:alice/app%2f:pull",
        "repository:" + "a" * 256 + ":pull",
        "widget:alice/app:pull",
        "repository(thing):alice/app:pull",
        "registry:other:*",
        "repository:alice/app:fly",
    ],
)
def test_what_is_unknown_is_granted_no_actions(alice: Caller, scope: str) -> None:
    Rule.objects.create(subject_kind="account", subject="alice", name="*", actions="*")

    ((_, _, actions),) = granted(alice.ask_token(scope))

    assert actions == []


def test_a_plugin_is_a_repository(alice: Caller) -> None:
    response = alice.ask_token("repository(plugin):alice/app:pull")

    assert granted(response) == [("repository(plugin)", "alice/app", ["pull"])]


def test_a_catalog_is_granted_to_everybody(charlie: Caller) -> None:
    assert granted(charlie.ask_token("registry:catalog:*")) == [("registry", "catalog", ["*"])]


@pytest.mark.parametrize(
    "scope", ["x", "repository", "repository:", ":", "::", "repository:alice/app", ":a:pull", "re po:a:pull", "a:b:c\0"]
)
def test_a_scope_of_another_form_is_400(alice: Caller, scope: str) -> None:
    response = alice.ask_token(scope)

    assert response.status_code == 400
    assert error_codes(response) == ["SCOPE_INVALID"]
    assert "type:name:actions" in response.json()["errors"][0]["message"]
    assert "error" not in response.json()


def test_a_token_that_would_not_fit_into_a_header_is_400_with_its_size(alice: Caller) -> None:
    scopes = [f"repository:alice/{'n' * 80}-{number}:pull,push" for number in range(70)]

    response = alice.ask_token(*scopes)

    assert response.status_code == 400
    assert "7168" in response.json()["errors"][0]["detail"]


def test_the_largest_token_that_is_issued_is_taken(alice: Caller) -> None:
    scopes = [f"repository:alice/{'n' * 30}-{number}:pull" for number in range(52)]

    token = alice.token(*scopes)

    assert 6000 < len(token) <= 7168
    assert alice.get("/v2/", token=token).status_code == 200


def test_a_scope_may_be_asked_for_again_and_again(alice: Caller) -> None:
    response = alice.ask_token(*["repository:alice/app:pull", "repository:alice/app:push"] * 100)

    assert response.json()["scope"] == "repository:alice/app:pull,push"


def test_scopes_without_end_are_400(alice: Caller) -> None:
    response = alice.ask_token(" ".join(["repository:a:pull"] * 5000))

    assert response.status_code == 400
    assert "8192 characters" in response.json()["errors"][0]["detail"]


def test_too_many_parameters_are_400() -> None:
    response = Client().get("/v2/token?" + "a&" * 1001)

    assert response.status_code == 400
    assert error_codes(response) == ["TOKEN_REQUEST_INVALID"]
    assert response.json()["errors"][0]["message"] == "the request has more than 1000 parameters"


# ------------------------------------------------------------------ service


def test_another_service_is_400() -> None:
    response = ask(service="another registry")

    assert response.status_code == 400
    assert error_codes(response) == ["SERVICE_INVALID"]
    assert "'Docker Registry'" in response.json()["errors"][0]["message"]


def test_no_service_is_taken_for_this_one() -> None:
    assert ask().status_code == 200


def test_the_audience_is_configured_whatever_the_host_header_says(alice: Caller) -> None:
    response = Client().get("/v2/token", headers={"Host": "evil.example"})

    claims = json.loads(forge.decoded(response.json()["token"].split(".")[1]))
    assert claims["aud"] == "Docker Registry"


# ------------------------------------------------------------------ credentials


def test_nobody_gets_what_everybody_may() -> None:
    response = ask(scope=["repository:public/app:pull,push", "repository:alice/app:pull"])

    assert granted(response) == [("repository", "public/app", ["pull"]), ("repository", "alice/app", [])]


def test_blank_credentials_are_nobody() -> None:
    response = ask("Basic Og==", scope="repository:public/app:pull")

    assert granted(response) == [("repository", "public/app", ["pull"])]


@pytest.mark.parametrize(
    "credentials",
    [
        "alice:wrong",
        "alice:",
        "alice:alice's password ",
        "alice:ALICE'S PASSWORD",
        "ALICE:alice's password",
        "alice\0:alice's password",
        ":alice's password",
        "nobody:x",
        "*:x",
        "alice:" + "x" * 73,
        "alice:" + "x" * 100_000,
        "alice:alice's password\0",
        "a" * 100_000 + ":x",
        "álice:x",
        "alice:\N{SNOWMAN}",
        "alice:\n",
    ],
)
def test_wrong_credentials_are_401_with_the_configured_realm(credentials: str) -> None:
    response = ask(basic(credentials), scope="repository:public/app:pull")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == BASIC_CHALLENGE
    assert error_codes(response) == ["UNAUTHORIZED"]


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YQ",
        "Basic YWxpY2U=",  # no colon
        basic(b"alice:\xff\xfe"),
        basic(b"\xed\xa0\x80:\xed\xa0\x80"),  # surrogates
        "Basic \xe9",
        "Bearer x",
        "Digest username=alice",
        "alice:password",
    ],
)
def test_malformed_credentials_are_never_anonymous(authorization: str) -> None:
    response = ask(authorization, scope="repository:public/app:pull")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == BASIC_CHALLENGE


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), min_size=1, max_size=60))
def test_no_authorization_header_breaks_the_server(text: str) -> None:
    assert ask(text).status_code in (200, 401)


def test_a_password_may_hold_colons_and_any_text() -> None:
    Account.objects.create_user("dora", "a:b:ü \N{SNOWMAN}")

    assert ask(basic("dora:a:b:ü \N{SNOWMAN}")).status_code == 200


def test_a_password_of_72_bytes_counts_to_its_last() -> None:
    Account.objects.create_user("dora", "x" * 72)

    assert ask(basic("dora:" + "x" * 72)).status_code == 200
    assert ask(basic("dora:" + "x" * 71 + "y")).status_code == 401
    assert ask(basic("dora:" + "x" * 73)).status_code == 401


def test_the_account_parameter_must_be_who_logs_in(alice: Caller) -> None:
    assert alice.ask_token(account="alice").status_code == 200
    assert alice.ask_token(account="bob").status_code == 401


def test_an_account_that_is_not_active_is_401_like_a_wrong_password(alice: Caller) -> None:
    wrong = ask(basic("alice:wrong"))
    Account.objects.filter(name="alice").update(is_active=False)

    response = alice.ask_token()

    assert (response.status_code, response.content) == (401, wrong.content)
    assert response["WWW-Authenticate"] == wrong["WWW-Authenticate"]


def test_no_answer_tells_an_unknown_account_from_a_wrong_password() -> None:
    known, unknown = ask(basic("alice:wrong")), ask(basic("zoe:wrong"))

    assert known.content == unknown.content
    assert known.headers == unknown.headers


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
@pytest.mark.parametrize("cost", [4, 6])
def test_an_imported_hash_is_the_same_after_a_login(prefix: str, cost: int) -> None:
    imported = "bcrypt$" + prefix + bcrypt.hashpw(b"secret", bcrypt.gensalt(cost)).decode()[4:]
    Account.objects.create(name="dora", password=imported)

    assert ask(basic("dora:secret")).status_code == 200
    assert Account.objects.get(name="dora").password == imported


def test_a_login_is_no_write(alice: Caller, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12) as queries:
        assert alice.ask_token("repository:alice/app:pull").status_code == 200

    assert not [q["sql"] for q in queries.captured_queries if not q["sql"].startswith("SELECT")]


def test_asking_again_reads_the_epoch_and_nothing_else(alice: Caller, django_assert_max_num_queries: Any) -> None:
    alice.ask_token("repository:alice/app:pull")

    with django_assert_max_num_queries(3) as queries:
        assert alice.ask_token("repository:alice/app:pull").status_code == 200

    assert {q["sql"] for q in queries.captured_queries} == {"SELECT value FROM accounts_rightsepoch WHERE id = 1"}


@pytest.mark.parametrize("client_id", ["a\0b", "\0", "x" * 5000, "\x1b[2J", "\N{SNOWMAN}", ""])
def test_no_name_of_a_client_breaks_the_server(client_id: str, alice: Caller) -> None:
    assert alice.ask_token(offline_token="true", client_id=client_id).status_code == 200


# ------------------------------------------------------------------ methods


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_405(method: str) -> None:
    response = Client().generic(method, "/v2/token")

    assert response.status_code == 405
    assert error_codes(response) == ["UNSUPPORTED"]
