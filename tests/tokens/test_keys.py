"""The keys that the configuration names: made, read, published, refused."""

import base64
import hashlib
import hmac
import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings

from accounts.identity import Identity
from acl.actions import Access
from core.private_files import KeyFileError
from tests.caller import Caller
from tests.security import forge
from tokens.issue import issue
from tokens.keys import ring
from tokens.keys.signing_key import public_pem

SECRET = "a secret of thirty-two bytes or more"

START = """
import sys, time
from pathlib import Path
from django.conf import settings
from configuration.values import Auth, Configuration
from tokens.keys import ring
from tokens.keys.signing_key import public_pem
private, start = Path(sys.argv[1]), Path(sys.argv[2])
settings.configure(REGISTRY=Configuration(auth=Auth(private_key=private)))
while not start.exists():
    time.sleep(0.001)
ring.ensure_keys()
print(ring.current().active.kid)
"""


def configure(settings: Settings, **auth: Any) -> None:
    registry = django_settings.REGISTRY
    settings.REGISTRY = replace(registry, auth=replace(registry.auth, **auth))


def write(path: Path, private_key: Any, **options: Any) -> Path:
    encryption = options.pop("encryption", serialization.NoEncryption())
    path.write_bytes(
        private_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    path.chmod(0o600)
    return path


def new_rsa(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@pytest.fixture
def private_key(settings: Settings, tmp_path: Path) -> Path:
    """Configure a private key that does not exist yet."""
    path = tmp_path / "keys" / "registry.key"
    configure(settings, private_key=path)
    return path


def test_keys_are_made_at_the_first_start(private_key: Path) -> None:
    ring.ensure_keys()

    made = serialization.load_pem_private_key(private_key.read_bytes(), None)
    assert isinstance(made, ec.EllipticCurvePrivateKey)
    assert isinstance(made.curve, ec.SECP256R1)
    assert stat.S_IMODE(private_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(private_key.parent.stat().st_mode) == 0o700


def test_no_private_key_is_readable_by_others(private_key: Path) -> None:
    ring.ensure_keys()

    for path in private_key.parent.iterdir():
        if b"PRIVATE" in path.read_bytes():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_public_key_is_written_for_others(private_key: Path) -> None:
    ring.ensure_keys()

    public = serialization.load_pem_public_key(private_key.with_suffix(".pub").read_bytes())
    assert public == ring.current().active.verifying


def test_a_second_start_keeps_the_keys(private_key: Path) -> None:
    ring.ensure_keys()
    first = ring.current().active.kid

    ring.ensure_keys()

    assert ring.current().active.kid == first


def test_keys_whose_folder_went_away_sign_and_verify_as_before(private_key: Path) -> None:
    ring.ensure_keys()
    before = ring.current().active.kid

    private_key.parent.rename(private_key.parent.with_name("away"))

    assert ring.current().active.kid == before
    assert before in ring.current().by_kid


def test_a_key_that_was_taken_away_counts_no_more(private_key: Path) -> None:
    ring.ensure_keys()

    private_key.unlink()

    with pytest.raises(KeyFileError, match="it is made when the server starts"):
        ring.current()


def test_eight_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    private_key, start = tmp_path / "keys" / "registry.key", tmp_path / "start"
    command = [sys.executable, "-c", START, str(private_key), str(start)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]

    start.touch()
    kids = {process.communicate(timeout=120)[0] for process in processes}

    assert [process.returncode for process in processes] == [0] * 8
    assert len(kids) == 1
    assert not [path for path in private_key.parent.iterdir() if path.name.startswith(".")]


def test_the_kid_is_the_thumbprint_of_rfc_7638(private_key: Path) -> None:
    ring.ensure_keys()
    jwk = ring.current().active.jwk or {}

    members = json.dumps({"crv": "P-256", "kty": "EC", "x": jwk["x"], "y": jwk["y"]}, separators=(",", ":"))
    digest = hashlib.sha256(members.encode()).digest()

    assert jwk["kid"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_published_set_holds_nothing_private(private_key: Path) -> None:
    ring.ensure_keys()

    for jwk in Client().get("/v2/token/jwks").json()["keys"]:
        assert set(jwk) == {"kty", "crv", "x", "y", "alg", "use", "kid"}
        assert (jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("EC", "P-256", "ES256", "sig")


def test_no_key_is_printed(private_key: Path, settings: Settings) -> None:
    ring.ensure_keys()
    assert "PRIVATE" not in repr(ring.current().active)

    configure(settings, signing_method="hmac", hmac_secret=SECRET)

    assert SECRET not in repr(ring.current().active) + repr(django_settings.REGISTRY)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (lambda: new_rsa(1024), "1024 bits are too few, at least 2048 are needed"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "this key is neither RSA nor EC P-256"),
        (ed25519.Ed25519PrivateKey.generate, "this key is neither RSA nor EC P-256"),
    ],
    ids=["short", "P-384", "Ed25519"],
)
def test_a_key_of_another_kind_is_refused(key: Any, message: str, private_key: Path) -> None:
    private_key.parent.mkdir()
    write(private_key, key())

    with pytest.raises(KeyFileError, match=message):
        ring.ensure_keys()


def test_a_key_with_a_password_is_refused(private_key: Path) -> None:
    private_key.parent.mkdir()
    write(private_key, new_rsa(), encryption=serialization.BestAvailableEncryption(b"password"))

    with pytest.raises(KeyFileError, match="without a password"):
        ring.ensure_keys()


@pytest.mark.parametrize("content", [b"garbage", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\nx\n", b"-----BEGIN CERT"])
def test_garbage_is_refused(content: bytes, private_key: Path) -> None:
    private_key.parent.mkdir()
    private_key.write_bytes(content)
    private_key.chmod(0o600)

    with pytest.raises(KeyFileError, match="not a private key in PEM form"):
        ring.ensure_keys()


def test_a_public_key_in_place_of_the_private_one_is_refused(private_key: Path) -> None:
    ring.ensure_keys()
    private_key.write_bytes(private_key.with_suffix(".pub").read_bytes())

    with pytest.raises(KeyFileError, match="not a private key"):
        ring.ensure_keys()


def test_a_key_that_others_may_read_is_refused_with_the_remedy(private_key: Path) -> None:
    ring.ensure_keys()
    private_key.chmod(0o644)

    with pytest.raises(KeyFileError, match=f"chmod 600 {private_key}"):
        ring.ensure_keys()


def test_a_public_key_of_another_private_one_is_refused(private_key: Path) -> None:
    ring.ensure_keys()
    write(private_key, new_rsa())

    with pytest.raises(KeyFileError, match=r"registry\.pub: does not belong to the private key"):
        ring.ensure_keys()


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [(["genrsa", "-out"], "RS256"), (["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"], "ES256")],
    ids=["RSA", "P-256"],
)
def test_a_key_of_openssl_is_taken(make: list[str], algorithm: str, private_key: Path) -> None:
    private_key.parent.mkdir()
    public = private_key.with_suffix(".pub")
    for arguments in ([*make, private_key], ["pkey", "-in", private_key, "-pubout", "-out", public]):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    private_key.chmod(0o600)

    ring.ensure_keys()

    assert ring.current().active.algorithm == algorithm


# ------------------------------------------------------------------ the token as a whole


@pytest.mark.parametrize("method", ["ecdsa", "rsa", "hmac"])
def test_a_token_has_the_header_and_claims_that_pyjwt_writes(
    cast: None, private_key: Path, settings: Settings, method: str
) -> None:
    secret: dict[str, Any] = {"hmac_secret": SECRET} if method == "hmac" else {"private_key": private_key}
    issuer, service = 'an "issuer" \\ of Zürich', "a\\service"
    configure(settings, signing_method=method, issuer=issuer, service=service, **secret)
    ring.ensure_keys()
    key = ring.current().active

    token = issue(Identity("alice"), [Access("repository", "alice/app", frozenset({"pull"}))]).token

    def read(text: str) -> Any:
        return jwt.decode_complete(text, key.verifying, [key.algorithm], audience=service, issuer=issuer)

    found = read(token)
    again = jwt.encode(found["payload"], key.signing, algorithm=key.algorithm, headers={"kid": key.kid})
    same = read(again)
    assert (found["header"], found["payload"]) == (same["header"], same["payload"])
    assert found["payload"]["access"] == [{"type": "repository", "name": "alice/app", "actions": ["pull"]}]


# ------------------------------------------------------------------ RSA


def test_new_keys_are_rsa_if_configured(private_key: Path, settings: Settings) -> None:
    configure(settings, private_key=private_key, signing_method="rsa")
    ring.ensure_keys()

    assert {key.algorithm for key in ring.current().by_kid.values()} == {"RS256"}
    for jwk in Client().get("/v2/token/jwks").json()["keys"]:
        assert set(jwk) == {"kty", "n", "e", "alg", "use", "kid"}


def test_the_rsa_key_of_an_earlier_version_signs_until_it_is_rotated(
    cast: None, bob: Caller, private_key: Path, settings: Settings
) -> None:
    configure(settings, private_key=private_key, signing_method="rsa")
    ring.ensure_keys()
    configure(settings, signing_method="ecdsa")
    ring.ensure_keys()
    tokens = [bob.ask_token("repository:alice/app:pull").json()["token"]]

    for _ in range(2):
        ring.rotate()
        tokens.append(bob.ask_token("repository:alice/app:pull").json()["token"])

    assert [jwt.get_unverified_header(token)["alg"] for token in tokens] == ["RS256", "RS256", "ES256"]
    assert [bob.get("/v2/", token=token).status_code for token in tokens] == [200] * 3


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES384", "EdDSA"])
def test_a_key_of_p256_has_one_algorithm(algorithm: str, bob: Caller) -> None:
    head = forge.header(alg=algorithm)
    if algorithm == "HS256":
        secret = public_pem(ring.current().active)
        message = forge.signing_input(head, forge.claims())
        token = f"{message}.{forge.encoded(hmac.digest(secret, message.encode(), 'sha256'))}"
    else:
        token = forge.signed(forge.claims(), head)

    assert bob.get("/v2/", token=token).status_code == 401
    assert bob.get("/v2/", token=forge.signed(forge.claims())).status_code == 200


# ------------------------------------------------------------------ HMAC


@pytest.fixture
def shared_secret(cast: None, settings: Settings) -> None:
    """Sign with a shared secret."""
    configure(settings, signing_method="hmac", hmac_secret=SECRET)
    ring.ensure_keys()


@pytest.mark.usefixtures("shared_secret")
def test_a_token_of_a_shared_secret_is_taken(bob: Caller) -> None:
    token = bob.token("repository:alice/app:pull")

    assert bob.get("/v2/", token=token).status_code == 200
    assert jwt.decode(token, SECRET, algorithms=["HS256"], audience="Docker Registry")["sub"] == "bob"


@pytest.mark.usefixtures("shared_secret")
def test_a_shared_secret_publishes_nothing(bob: Caller) -> None:
    assert Client().get("/v2/token/jwks").json() == {"keys": []}

    kid = jwt.get_unverified_header(bob.token())["kid"]

    thumbprint = hashlib.sha256(SECRET.encode()).digest()
    assert kid not in (thumbprint.hex(), forge.encoded(thumbprint))


def test_a_token_of_the_rsa_key_is_refused_under_a_shared_secret(bob: Caller, settings: Settings) -> None:
    token = bob.token("repository:alice/app:pull")

    configure(settings, signing_method="hmac", hmac_secret=SECRET)

    assert bob.get("/v2/", token=token).status_code == 401


@pytest.mark.usefixtures("shared_secret")
@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512", "RS256"])
def test_a_shared_secret_has_one_algorithm(algorithm: str, bob: Caller) -> None:
    head = {"kid": jwt.get_unverified_header(bob.token())["kid"]}
    if algorithm == "RS256":
        token = jwt.encode(forge.claims(), new_rsa(), algorithm="RS256", headers=head)
    elif algorithm == "none":
        token = jwt.encode(forge.claims(), None, algorithm="none", headers=head)  # type: ignore[arg-type]
    else:
        token = jwt.encode(forge.claims(), SECRET * 2, algorithm=algorithm, headers=head)

    assert bob.get("/v2/", token=token).status_code == 401
