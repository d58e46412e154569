"""Forged, spoiled and outdated tokens: each is a 401 that says invalid_token, none is a 500."""

import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from tests.caller import Caller, Response
from tests.security import forge
from tokens import keys

pytestmark = pytest.mark.usefixtures("cast")

NOW = int(time.time())
REQUIRED = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"]

many_examples = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def send(token: str, path: str = "/v2/") -> Response:
    return Client().get(path, headers={"Authorization": f"Bearer {token}"})


def is_refused(response: Response) -> bool:
    return response.status_code == 401 and str(response["WWW-Authenticate"]).endswith('error="invalid_token"')


def public_pem() -> bytes:
    public: rsa.RSAPublicKey = keys.active_key().verifying
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def hmac_signed(secret: bytes, **head: Any) -> str:
    message = forge.signing_input(forge.header(alg="HS256", **head), forge.claims())
    return f"{message}.{forge.encoded(hmac.digest(secret, message.encode(), hashlib.sha256))}"


def test_the_forge_makes_sound_tokens() -> None:
    assert send(forge.signed(forge.claims())).status_code == 200


# ------------------------------------------------------------------ algorithms and keys


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    message = forge.signing_input(forge.header(alg=algorithm), forge.claims())

    assert is_refused(send(f"{message}."))


def test_the_public_key_is_no_hmac_secret() -> None:
    assert is_refused(send(hmac_signed(public_pem())))
    assert is_refused(send(hmac_signed(public_pem().strip())))
    assert is_refused(send(hmac_signed(json.dumps(keys.jwks()["keys"][0]).encode())))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES256", "HS256", "EdDSA", "rs256", 5, ["RS256"]])
def test_the_header_does_not_choose_the_algorithm(algorithm: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(), forge.header(alg=algorithm))))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS512"])
def test_another_algorithm_of_the_right_key_is_refused(algorithm: str) -> None:
    key = keys.active_key()

    assert is_refused(send(jwt.encode(forge.claims(), key.signing, algorithm=algorithm, headers={"kid": key.kid})))


@pytest.mark.parametrize(
    "kid",
    ["", "unknown", "../../../../dev/null", "/etc/passwd", "registry.key", "x' OR '1'='1", "a\u0000b", 7, ["x"], {}],
)
def test_an_unknown_kid_is_refused(kid: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(), forge.header(kid=kid))))


def test_a_token_without_a_kid_is_refused() -> None:
    assert is_refused(send(forge.signed(forge.claims(), forge.header(kid=None))))


def test_a_key_that_the_token_brings_along_is_not_used() -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = own.public_key().public_numbers()
    jwk = {"kty": "RSA", "e": "AQAB", "n": forge.encoded(numbers.n.to_bytes(256, "big"))}
    brought = {"jwk": jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x5", "x5c": ["MIIB"]}

    for head in (brought, brought | {"kid": "own"}, brought | {"kid": None}):
        assert is_refused(send(forge.signed(forge.claims(), forge.header(**head), own)))


@pytest.mark.parametrize("crit", [["exp"], ["unknown"], [], "exp", ["b64"]])
def test_an_extension_that_is_critical_is_refused(crit: object) -> None:
    assert is_refused(send(forge.signed(forge.claims(), forge.header(crit=crit))))


def test_an_unencoded_payload_is_refused() -> None:
    head = forge.header(b64=False, crit=["b64"])

    assert is_refused(send(forge.signed(forge.claims(), head)))


def test_a_changed_claim_is_refused() -> None:
    head, _, signature = forge.signed(forge.claims()).split(".")
    body = forge.encoded(json.dumps(forge.claims(sub="alice")).encode())

    assert is_refused(send(f"{head}.{body}.{signature}"))


def test_a_token_with_padding_or_other_signature_bits_is_refused() -> None:
    token = forge.signed(forge.claims())

    assert is_refused(send(token[:-4]))
    assert is_refused(send(f"{token}.{token}"))
    assert is_refused(send(f"{token}AAAA"))


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
    head = forge.encoded(b'{"alg":"RS256","kid":' + b"9" * 5000 + b"}")

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
