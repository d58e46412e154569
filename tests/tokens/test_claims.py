"""What stands in a token."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from django.test import Client

from tests.caller import Caller
from tests.security.forge import decoded

pytestmark = pytest.mark.usefixtures("cast")


def part(token: str, index: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(decoded(token.split(".")[index]))
    return found


def published_key() -> ec.EllipticCurvePublicKey:
    """Return the key that signs now, as another program makes it out of the published set."""
    (jwk, *_) = [key for key in Client().get("/v2/token/jwks").json()["keys"] if key["kid"] == active_kid()]
    x, y = (int.from_bytes(decoded(jwk[member]), "big") for member in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def active_kid() -> str:
    return str(part(Client().get("/v2/token").json()["token"], 0)["kid"])


def test_the_claims_are_these_and_no_others(alice: Caller) -> None:
    claims = part(alice.token("repository:alice/app:pull"), 1)

    assert set(claims) == {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "account", "credential", "access"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("registry-auth-server", "alice", "Docker Registry")
    assert claims["access"] == [{"type": "repository", "name": "alice/app", "actions": ["pull"]}]


def test_the_times_are_integers_half_an_hour_apart(alice: Caller) -> None:
    claims = part(alice.token(), 1)

    assert all(type(claims[name]) is int for name in ("exp", "nbf", "iat"))
    assert claims["exp"] - claims["iat"] == 1800
    assert claims["nbf"] == claims["iat"]
    assert abs(claims["iat"] - time.time()) < 60


def test_nobody_in_particular_is_an_empty_subject(anonymous: Caller) -> None:
    assert part(anonymous.token(), 1)["sub"] == ""


def test_no_two_tokens_have_one_identifier(alice: Caller) -> None:
    identifiers = {part(alice.ask_token().json()["token"], 1)["jti"] for _ in range(20)}

    assert len(identifiers) == 20


def test_the_header_names_algorithm_and_key_only(alice: Caller) -> None:
    head = part(alice.token(), 0)

    assert set(head) == {"alg", "typ", "kid"}
    assert (head["alg"], head["typ"]) == ("ES256", "JWT")


def test_the_published_key_verifies_the_signature(alice: Caller) -> None:
    message, _, signature = alice.token("repository:alice/app:pull").rpartition(".")

    raw = decoded(signature)
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    published_key().verify(der, message.encode(), ec.ECDSA(hashes.SHA256()))

    with pytest.raises(InvalidSignature):
        published_key().verify(der, message.encode() + b"x", ec.ECDSA(hashes.SHA256()))


def test_a_common_library_reads_the_published_set(alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull")
    keys = jwt.PyJWKSet.from_dict(Client().get("/v2/token/jwks").json())

    key = keys[jwt.get_unverified_header(token)["kid"]]

    assert jwt.decode(token, key, algorithms=["ES256"], audience="Docker Registry")["sub"] == "alice"
