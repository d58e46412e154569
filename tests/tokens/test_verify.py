"""Spoiled and outdated tokens: each is a 401 that says invalid_token, none is a 500.

Forged ones, of other algorithms and keys, are sent to a running server: `tests/attack/test_tokens.py`.
"""

import json
import time

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from core.hourly import Hourly
from tests.caller import Caller, Response
from tests.security import forge
from tokens import verify

pytestmark = pytest.mark.usefixtures("cast")

NOW = int(time.time())
REQUIRED = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"]

many_examples = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def send(token: str, path: str = "/v2/") -> Response:
    return Client().get(path, headers={"Authorization": f"Bearer {token}"})


def is_refused(response: Response) -> bool:
    return response.status_code == 401 and str(response["WWW-Authenticate"]).endswith('error="invalid_token"')


def test_the_forge_makes_sound_tokens() -> None:
    assert send(forge.signed(forge.claims())).status_code == 200


# ------------------------------------------------------------------ claims


@pytest.mark.parametrize("name", REQUIRED)
def test_every_claim_is_required(name: str) -> None:
    assert is_refused(send(forge.signed(forge.claims(**{name: None}))))


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [[], {}, True, False, ["x"]])
def test_a_claim_of_another_type_is_refused(name: str, value: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(**{name: value}))))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [str(NOW + 60), float(NOW + 60), NOW + 0.5, [NOW], float("inf"), float("nan"), "soon", -1e400],
    ids=["text", "float", "fraction", "list", "infinity", "nan", "word", "minus infinity"],
)
def test_a_time_is_an_integer(name: str, value: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(**{name: value}))))


@pytest.mark.parametrize(
    "audience",
    ["another service", "docker registry", "Docker Registry ", ["Docker Registry"], ["Docker Registry", "other"]],
)
def test_the_audience_is_the_configured_service_alone(audience: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(aud=audience))))


@pytest.mark.parametrize("issuer", ["somebody else", "registry-auth-server/", ["registry-auth-server"]])
def test_the_issuer_is_the_configured_one_alone(issuer: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(iss=issuer))))


@pytest.mark.parametrize(
    "access",
    [
        "repository:alice/app:pull",
        {"type": "repository", "name": "alice/app", "actions": ["pull"]},
        ["repository:alice/app:pull"],
        [None],
        [{"type": "repository", "name": "alice/app"}],
        [{"type": "repository", "name": "alice/app", "actions": "pull"}],
        [{"type": "repository", "name": "alice/app", "actions": [1]}],
        [{"type": "repository", "name": ["alice/app"], "actions": ["pull"]}],
        [{"type": 1, "name": "alice/app", "actions": ["pull"]}],
        7,
        True,
    ],
)
def test_access_is_a_list_of_objects_with_strings(access: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(access=access))))


@pytest.mark.parametrize("body", [[], "text", 1, None, True, [{"sub": "bob"}]])
def test_claims_are_an_object(body: object) -> None:
    assert is_refused(send(forge.signed(body)))


@pytest.mark.parametrize("head", [[], "text", 1, {}, True])
def test_a_header_is_an_object(head: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(), head)))


# ------------------------------------------------------------------ time


@pytest.mark.parametrize(("seconds_ago", "status"), [(50, 200), (70, 401), (10_000_000, 401)])
def test_a_token_counts_for_a_minute_after_it_expired(seconds_ago: int, status: int) -> None:
    token = forge.signed(forge.claims(exp=int(time.time()) - seconds_ago))

    assert send(token).status_code == status


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize(("seconds", "status"), [(50, 200), (90, 401)])
def test_a_token_may_come_from_a_clock_that_is_a_minute_ahead(name: str, seconds: int, status: int) -> None:
    token = forge.signed(forge.claims(**{name: int(time.time()) + seconds}))

    assert send(token).status_code == status


def test_a_signed_token_of_the_future_is_one_warning_about_clocks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(verify, "_WARNS_CLOCK", Hourly())

    for seconds in (90, 120):
        assert is_refused(send(forge.signed(forge.claims(nbf=int(time.time()) + seconds))))

    (line,) = (message for message in caplog.messages if "clock" in message)
    assert "the clock of another replica is ahead" in line


def test_a_remembered_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    token = forge.signed(forge.claims(exp=int(time.time()) + 30))
    assert send(token).status_code == 200

    later = time.time() + 100
    monkeypatch.setattr(time, "time", lambda: later)

    assert is_refused(send(token))


# ------------------------------------------------------------------ accounts


@pytest.mark.parametrize("subject", ["nobody", "BOB", "bob ", "bob\u0000", "*", "b?b", "'", "b" * 4000])
def test_a_token_of_no_account_is_refused(subject: str) -> None:
    assert is_refused(send(forge.signed(forge.claims(sub=subject))))


@pytest.mark.parametrize("value", ["", "0123456789abcdef", 7, True, ["x"], {}])
def test_a_token_for_another_password_is_refused(value: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(credential=value))))


def test_the_token_of_a_deactivated_account_is_refused(bob: Caller) -> None:
    token = bob.token("repository:alice/app:pull")
    assert send(token).status_code == 200

    Account.objects.filter(name="bob").update(is_active=False)

    assert is_refused(send(token))


def test_the_token_of_a_deleted_account_is_refused(bob: Caller) -> None:
    token = bob.token("repository:alice/app:pull")
    assert send(token).status_code == 200

    Account.objects.filter(name="bob").delete()

    assert is_refused(send(token))


# ------------------------------------------------------------------ garbage


def test_a_huge_token_is_refused() -> None:
    access = [{"type": "repository", "name": f"alice/{'a' * 200}{i}", "actions": ["pull"]} for i in range(40)]

    assert is_refused(send(forge.signed(forge.claims(access=access))))
    assert is_refused(send("a" * 1_000_000))


def test_deeply_nested_json_is_refused() -> None:
    depth = 2000
    body = forge.encoded(f"{'[' * depth}{']' * depth}".encode())

    assert is_refused(send(f"{forge.encoded(json.dumps(forge.header()).encode())}.{body}.AAAA"))
    assert is_refused(send(f"{body}.{body}.AAAA"))


def test_a_number_with_thousands_of_digits_is_refused() -> None:
    head = forge.encoded(b'{"alg":"ES256","kid":' + b"9" * 5000 + b"}")

    assert is_refused(send(f"{head}.e30.AAAA"))


@many_examples
@given(st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=200))
def test_text_is_no_token(text: str) -> None:
    assert is_refused(send(text))


@many_examples
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=5))
def test_encoded_bytes_are_no_token(segments: list[bytes]) -> None:
    assert is_refused(send(".".join(map(forge.encoded, segments))))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@many_examples
@given(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5c", "zip", "cty"]), json_values)
def test_no_header_breaks_the_server(name: str, value: object) -> None:
    response = send(forge.signed(forge.claims(), forge.header() | {name: value}))

    assert response.status_code == 200 or is_refused(response)


@many_examples
@given(st.sampled_from([*REQUIRED, "access"]), json_values)
def test_no_signed_claim_breaks_the_server(name: str, value: object) -> None:
    response = send(forge.signed(forge.claims() | {name: value}))

    assert response.status_code == 200 or is_refused(response)


@many_examples
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_spoils_the_token(position: int, change: int) -> None:
    head, body, signature = forge.signed(forge.claims()).split(".")
    raw = bytearray(forge.decoded(signature))
    raw[position % len(raw)] ^= change

    assert is_refused(send(f"{head}.{body}.{forge.encoded(bytes(raw))}"))


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "bearer", "Bearer  x", "Bearer\tx", "Basic", "Basic Og==", "Digest x", "x", "Token x", " "],
)
def test_no_authorization_header_breaks_the_server(authorization: str) -> None:
    assert Client().get("/v2/", headers={"Authorization": authorization}).status_code == 401
