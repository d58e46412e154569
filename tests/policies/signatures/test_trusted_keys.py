"""Keys to trust, from PEM."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from configuration.policies.trusted_keys import InvalidKeysError, parse_keys
from tests.policies.signatures.signers import certificate, certificate_pem, public_pem

KEY = ec.generate_private_key(ec.SECP256R1())


def test_public_keys_and_certificates_of_one_text_are_told_apart() -> None:
    pem = public_pem(KEY) + "a comment\n" + certificate_pem(certificate(KEY, "signer")) + public_pem(KEY)
    keys = parse_keys(pem)
    assert (len(keys.public_keys), len(keys.certificates)) == (2, 1)


@pytest.mark.parametrize("key", [Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)])
def test_other_kinds_of_keys_are_read(key: Any) -> None:
    assert len(parse_keys(public_pem(key)).public_keys) == 1


def test_another_text_has_another_fingerprint() -> None:
    other = public_pem(ec.generate_private_key(ec.SECP256R1()))
    assert parse_keys(public_pem(KEY)).fingerprint != parse_keys(other).fingerprint


_PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        ("", "no block"),
        ("ssh-ed25519 AAAA", "no block"),
        (_PRIVATE, r"block 1 \(PRIVATE KEY\) is a private key"),
        ("-----BEGIN PUBLIC KEY-----\n?\n-----END PUBLIC KEY-----", "block 1 .* can't be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "block 1 .* can't be read"),
        ("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----", "neither a public key nor a certificate"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), "not verified"),
        (public_pem(ec.generate_private_key(ec.BrainpoolP256R1())), "not verified"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (public_pem(KEY) * 101, "at most 100"),
    ],
    ids=["empty", "ssh", "private", "no key", "no certificate", "list", "secp256k1", "brainpool", "short", "many"],
)
def test_what_is_no_key_to_trust_is_refused(pem: str, message: str) -> None:
    with pytest.raises(InvalidKeysError, match=message):
        parse_keys(pem)
