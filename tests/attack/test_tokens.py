"""Forged tokens: whoever writes one, even with the registry's own key, gets a 401 that says invalid_token.

The attacker of most of these has the key that signs: no check may hang on the signature alone.
"""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.attack.conftest import Ask
from tests.attack.raw import Raw
from tests.attack.target import SECRET, Target, scope
from tests.clients.server import basic, password_of
from tests.security.forge import encoded, signed, signing_input

NOW = int(time.time())
STRANGERS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PULL = [{"type": "repository", "name": SECRET, "actions": ["pull"]}]


@dataclass(frozen=True)
class Forge:
    """The registry's own key, and the parts of a token that it issued."""

    key: rsa.RSAPrivateKey
    head: dict[str, Any]
    body: dict[str, Any]

    def token(self, **claims: Any) -> str:
        """Return a token with changed claims; None takes a claim away."""
        body = {name: value for name, value in (self.body | claims).items() if value is not None}
        return signed(body, self.head, self.key)

    def headed(self, key: rsa.RSAPrivateKey | None = None, /, **members: Any) -> str:
        """Return a token with changed members of the header; None takes one away."""
        head = {name: value for name, value in (self.head | members).items() if value is not None}
        return signed(self.body, head, key or self.key)

    def unsigned(self, algorithm: str) -> str:
        """Return a token without a signature."""
        return f"{signing_input(self.head | {'alg': algorithm}, self.body)}."

    def by_algorithm(self, algorithm: str) -> str:
        """Return a token that is rightly signed by another algorithm of the key."""
        return jwt.encode(self.body, self.key, algorithm=algorithm, headers={"kid": self.head["kid"]})

    def as_hmac(self, secret: bytes) -> str:
        """Return a token of HS256."""
        message = signing_input(self.head | {"alg": "HS256"}, self.body)
        return f"{message}.{encoded(hmac.digest(secret, message.encode(), hashlib.sha256))}"

    def public(self, encoding: serialization.Encoding, form: serialization.PublicFormat) -> bytes:
        """Return the public key."""
        return self.key.public_key().public_bytes(encoding, form)

    def raw(self, head: bytes, body: bytes) -> str:
        """Return a token of these bytes, rightly signed."""
        message = f"{encoded(head)}.{encoded(body)}"
        return f"{message}.{encoded(self.key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture(scope="module")
def forge(target: Target) -> Forge:
    """Return the forge of somebody who has read the key from the disk."""
    pem = (target.data / "keys" / "registry.key").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    head, body, _ = target.token("bob", scope(SECRET)).split(".")
    return Forge(key, part(head), part(body))


Forgeries = dict[str, Callable[[Forge], str]]


def part(text: str) -> dict[str, Any]:
    """Return a part of a token."""
    found: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=="))
    return found


def jwk_of(key: rsa.RSAPrivateKey) -> dict[str, str]:
    """Return the public half as a JSON Web Key."""
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "e": "AQAB", "n": encoded(numbers.n.to_bytes(256, "big"))}


def twice(forge: Forge, name: str, value: object) -> str:
    """Return a token in which a claim stands twice."""
    body = json.dumps(forge.body)[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"
    return forge.raw(json.dumps(forge.head).encode(), body.encode())


def many(name: str, values: Iterable[Any], make: Callable[[Forge, Any], str]) -> Forgeries:
    """Return a forgery for each value."""

    def made(value: object) -> Callable[[Forge], str]:
        return lambda forge: make(forge, value)

    return {f"{name} {repr(value)[:60]}": made(value) for value in values}


def headers(name: str, values: Iterable[Any]) -> Forgeries:
    """Return a forgery for each value of a member of the header."""
    return many(name, values, lambda forge, value: forge.headed(**{name: value}))


def claims(name: str, values: Iterable[Any]) -> Forgeries:
    """Return a forgery for each value of a claim."""
    return many(name, values, lambda forge, value: forge.token(**{name: value}))


# fmt: off
FORGED: Forgeries = {
    # CVE-2015-9235, CVE-2022-29217, CVE-2026-48526: no signature, and public keys for an HMAC secret.
    **many("no signature, alg", ("none", "None", "NONE", "nOnE", ""), Forge.unsigned),
    "alg none with the signature": lambda f: f.headed(alg="none"),
    "no alg": lambda f: f.headed(alg=None),
    "HS256 with the public key as PEM": lambda f: f.as_hmac(
        f.public(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    ),
    "HS256 with the public key as PKCS1": lambda f: f.as_hmac(
        f.public(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    ),
    "HS256 with the public key as OpenSSH": lambda f: f.as_hmac(
        f.public(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    ),
    "HS256 with the published key set": lambda f: f.as_hmac(json.dumps(jwk_of(f.key)).encode()),
    "HS256 with nothing": lambda f: f.as_hmac(b""),
    **many("really signed by", ("RS384", "RS512", "PS256", "PS512"), Forge.by_algorithm),
    **headers("alg", ("RS512", "PS256", "ES256", "HS256", "EdDSA", "rs256", 5, ["RS256"])),
    # CVE-2018-0114, CVE-2025-24976 (distribution): a key that the token brings along.
    "signed by somebody else": lambda f: f.headed(STRANGERS),
    "jwk": lambda f: f.headed(STRANGERS, jwk=jwk_of(STRANGERS)),
    "jwk with the kid of a trusted key": lambda f: f.headed(STRANGERS, jwk=jwk_of(STRANGERS) | {"kid": f.head["kid"]}),
    "jwk and no kid": lambda f: f.headed(STRANGERS, jwk=jwk_of(STRANGERS), kid=None),
    "jku": lambda f: f.headed(STRANGERS, jku="http://127.0.0.1:1/jwks", kid="own"),
    "x5u": lambda f: f.headed(STRANGERS, x5u="http://127.0.0.1:1/x5u", kid="own"),
    "x5c": lambda f: f.headed(STRANGERS, x5c=["MIIB"], kid=None),
    **headers("kid", (
        None, "", "unknown", "../../../../dev/null", "/etc/passwd", "registry.key", "file:///dev/null", "x' OR '1'='1",
        "a\0b", "\ud800", 7, ["x"], {}, True, "k" * 5000,
    )),
    "HS256 with the empty file as its key": lambda f: Forge(f.key, f.head | {"kid": "/dev/null"}, f.body).as_hmac(b""),
    # Extensions (RFC 7515, 4.1.11; RFC 7797).
    **headers("crit", (["exp"], ["unknown"], [], "exp")),
    "an unencoded payload": lambda f: f.headed(b64=False, crit=["b64"]),
    # Claims.
    **many("no", ("iss", "sub", "aud", "exp", "nbf", "iat", "jti"), lambda f, name: f.token(**{name: None})),
    **claims("aud", (
        "another service", "docker registry", ["Docker Registry"], ["Docker Registry", "other"], "",
    )),
    **claims("iss", ("somebody", ["registry-auth-server"])),
    **claims("exp", (True, float("inf"), float("nan"), -(10**300), -1, "soon")),
    "exp as text": lambda f: f.token(exp=str(NOW + 600)),
    "exp as a float": lambda f: f.token(exp=float(NOW + 600)),
    "exp as a list": lambda f: f.token(exp=[NOW + 600]),
    "exp a minute ago": lambda f: f.token(exp=NOW - 61),
    "nbf in five minutes": lambda f: f.token(nbf=int(time.time()) + 300),
    "nbf as text": lambda f: f.token(nbf=str(NOW)),
    "iat in five minutes": lambda f: f.token(iat=int(time.time()) + 300),
    "iat as a float": lambda f: f.token(iat=float(NOW)),
    **claims("jti", (7, [])),
    **claims("sub", ("nobody", "BOB", "bob ", "bob\0", "*", ["bob"], "alice")),
    **claims("access", (
        "repository:alice/secret:pull", {"alice/secret": ["pull"]}, [None],
        [{"type": "repository", "name": SECRET, "actions": "pull"}],
        [{"type": "repository", "name": [SECRET], "actions": ["pull"]}],
    )),
    "expired long ago": lambda f: f.token(exp=NOW - 10**7, nbf=NOW - 10**8, iat=NOW - 10**8),
    # Forms.
    "claims that are a list": lambda f: signed([f.body], f.head, f.key),
    "a header that is a list": lambda f: signed(f.body, [f.head], f.key),
    "the sub of another, under the old signature": lambda f: spliced(f, sub="alice"),
    "a token twice": lambda f: f"{f.token()}.{f.token()}",
    "a signature cut short": lambda f: f.token()[:-4],
    "a signature with more behind it": lambda f: f.token() + "AAAA",
    "an empty signature": lambda f: f.token().rpartition(".")[0] + ".",
    "an encrypted token": lambda f: f"{f.token()}.AAAA.AAAA",
    "deep nesting": lambda f: f.raw(json.dumps(f.head).encode(), b"[" * 1800 + b"]" * 1800),
    "a number of 4,000 digits": lambda f: f.raw(b'{"alg":"RS256","kid":' + b"9" * 4000 + b"}", b"{}"),
    "above 7 KiB": lambda f: f.token(padding="x" * 5200),
}
# fmt: on


def spliced(forge: Forge, **claims: Any) -> str:
    """Return a token with other claims than its signature is for."""
    head, _, signature = forge.token().split(".")
    return f"{head}.{encoded(json.dumps(forge.body | claims).encode())}.{signature}"


def is_refused(answer: Raw) -> bool:
    """Tell whether an answer refuses the token itself."""
    return answer.status == 401 and answer.header("www-authenticate").endswith('error="invalid_token"')


def test_the_forge_is_good(forge: Forge, send: Ask) -> None:
    """Otherwise nothing here would prove anything."""
    assert send("GET /v2/", f"Authorization: Bearer {forge.token()}").status == 200
    assert send(f"GET /v2/{SECRET}/tags/list", f"Authorization: Bearer {forge.token()}").status == 200


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_token_opens_nothing(how: str, forge: Forge, send: Ask) -> None:
    line = f"Authorization: Bearer {FORGED[how](forge)}"

    assert is_refused(send("GET /v2/", line))
    assert is_refused(send(f"GET /v2/{SECRET}/manifests/v1", line))
    assert is_refused(send(f"GET /v2/{SECRET}/blobs/uploads/00000000-0000-0000-0000-000000000000", line))


@pytest.mark.parametrize(
    ("name", "value"),
    [("sub", "alice"), ("exp", NOW + 10**9), ("access", [*PULL, *PULL]), ("aud", "another")],
    ids=["sub", "exp", "access", "aud"],
)
def test_a_claim_that_is_there_twice_gives_nothing_that_the_signer_did_not_write(
    name: str, value: object, forge: Forge, send: Ask
) -> None:
    """Readers that take the first and readers that take the last of two: no right of alice comes of it."""
    line = f"Authorization: Bearer {twice(forge, name, value)}"

    assert send(f"PUT /v2/{SECRET}/manifests/v1", line, body=b"{}").status == 401


def test_more_access_than_the_rules_give_is_not_believed(forge: Forge, send: Ask) -> None:
    """The signing key alone makes nobody an owner: claims and rules both have to allow it."""
    every = [{"type": "repository", "name": SECRET, "actions": ["pull", "push", "delete", "*"]}]
    line = f"Authorization: Bearer {forge.token(access=every)}"

    assert send(f"DELETE /v2/{SECRET}/manifests/v1", line).status == 401
    assert send(f"POST /v2/{SECRET}/blobs/uploads/", line).status == 401


@pytest.mark.parametrize("kind", ["repository(plugin)x", "registry", "Repository", "repository ", ""])
def test_access_of_another_type_opens_no_repository(kind: str, forge: Forge, send: Ask) -> None:
    access = [{"type": kind, "name": SECRET, "actions": ["pull"]}]

    assert send(f"GET /v2/{SECRET}/tags/list", f"Authorization: Bearer {forge.token(access=access)}").status == 401


def test_a_refresh_token_is_no_access_token(target: Target, send: Ask) -> None:
    answer = target.request("GET", "/v2/token?offline_token=true&client_id=x", authorization=basic("bob"))
    refresh = json.loads(answer.body)["refresh_token"]

    assert is_refused(send("GET /v2/", f"Authorization: Bearer {refresh}"))


def test_an_access_token_is_no_refresh_token_and_no_password(forge: Forge, send: Ask) -> None:
    token = forge.token()
    form = urlencode({"grant_type": "refresh_token", "service": "Docker Registry", "refresh_token": token})

    assert send("POST /v2/token", "Content-Type: application/x-www-form-urlencoded", body=form.encode()).status == 401
    assert send("GET /v2/token", f"Authorization: Bearer {token}").status == 401
    assert send("GET /api/v1/whoami", f"Authorization: Bearer {token}").status == 401
    assert send("GET /admin/", f"Authorization: Bearer {token}").status == 302


@pytest.mark.parametrize("where", ["?token={}", "?access_token={}", "?jwt={}"])
def test_a_token_in_the_address_is_not_read(where: str, forge: Forge, send: Ask) -> None:
    """Addresses stand in the logs of every proxy."""
    assert send(f"GET /v2/{where.format(forge.token())}").status == 401


@pytest.mark.parametrize(
    "header", ["X-Token", "X-Auth-Token", "X-Forwarded-User", "Remote-User", "Proxy-Authorization"]
)
def test_no_other_header_says_who_is_asking(header: str, forge: Forge, send: Ask) -> None:
    for value in ("alice", forge.token(), f"Bearer {forge.token()}"):
        assert send("GET /v2/", f"{header}: {value}").status == 401


def test_two_authorizations_are_not_the_better_one(forge: Forge, send: Ask) -> None:
    good = f"Authorization: Bearer {forge.token()}"

    assert send("GET /v2/", good, "Authorization: Bearer x").status in {400, 401}
    assert send("GET /v2/", "Authorization: Bearer x", good).status in {400, 401}


@pytest.mark.parametrize("service", ["Docker%20Registry%20", "other", "", "docker%20registry", "127.0.0.1"])
def test_nobody_chooses_the_audience(service: str, send: Ask) -> None:
    answer = send(f"GET /v2/token?service={service}", f"Authorization: {basic('bob')}")

    assert answer.status == 400


def test_a_changed_password_ends_the_tokens_of_its_account(target: Target, send: Ask) -> None:
    refresh = target.request("GET", "/v2/token?offline_token=true&client_id=x", authorization=basic("charlie"))
    line = f"Authorization: Bearer {json.loads(refresh.body)['token']}"
    assert send("GET /v2/", line).status == 200
    ((before,),) = target.rows("SELECT password FROM accounts_account WHERE name = 'charlie'")

    target.execute("UPDATE accounts_account SET password = (SELECT password FROM accounts_account WHERE name = 'bob') "
                   "WHERE name = 'charlie'")  # fmt: skip

    form = {"grant_type": "refresh_token", "service": "Docker Registry", "client_id": "x"}
    form["refresh_token"] = json.loads(refresh.body)["refresh_token"]
    try:
        assert is_refused(send("GET /v2/", line))
        assert send("POST /v2/token", "Content-Type: application/x-www-form-urlencoded",
                    body=urlencode(form).encode()).status == 401  # fmt: skip
        assert password_of("charlie") not in target.log_file.read_text()
    finally:
        target.execute(f"UPDATE accounts_account SET password = '{before}' WHERE name = 'charlie'")
