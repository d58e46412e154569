"""The row of a policy that requires signatures."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.exceptions import ValidationError

from policies.forms import form_of
from policies.models import RequiredSignature
from tests.policies.signatures.signers import KEY, KEY_PEM, certificate, certificate_pem, public_pem

CERTIFICATE_PEM = certificate_pem(certificate(KEY, "signer")).strip()


@pytest.mark.parametrize(
    ("keys", "mode", "sentence"),
    [
        (KEY_PEM, "enforce", "images of prod/* need a signature by a trusted key, of 1 public key"),
        (
            f"{KEY_PEM}\n{CERTIFICATE_PEM}\n{KEY_PEM}",
            "enforce",
            "images of prod/* need a signature by a trusted key, of 2 public keys and 1 certificate",
        ),
        (
            CERTIFICATE_PEM,
            "warn",
            "images of prod/* need a signature by a trusted key, of 1 certificate; without one, pulls only get a "
            "warning",
        ),
        ("nonsense", "enforce", "images of prod/* need a signature by a key that can't be read"),
    ],
)
def test_a_policy_is_a_sentence(keys: str, mode: str, sentence: str) -> None:
    assert str(RequiredSignature(repositories="prod/*", keys=keys, mode=mode)) == sentence


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", "required"),
        ("nonsense", "no usable keys"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "RSA needs at least 2048"),
        (f"{KEY_PEM}\n{KEY_PEM[:-10]}", "without its end"),
        (KEY_PEM + " " * 65536 + KEY_PEM, "more than 65536 characters"),
        ("-----BEGIN A-----" * 100_000, "more than 65536 characters"),
        ("-----BEGIN A-----" * 3000, "3000 blocks"),
    ],
)
def test_keys_are_checked_in_the_form(keys: str, message: str) -> None:
    form = form_of(RequiredSignature)({"repositories": "prod/*", "keys": keys, "mode": "enforce"})

    assert message in str(form.errors.get("keys", ""))


@pytest.mark.django_db
def test_keys_are_stored_without_what_is_between_them() -> None:
    sent = f"the key of the team:\r\n{KEY_PEM}\r\n\r\n{CERTIFICATE_PEM}\r\n".replace("\n", "\r\n").replace("\r\r", "\r")

    row = form_of(RequiredSignature)({"repositories": "prod/*", "keys": sent, "mode": "enforce"}).save()

    assert row.keys == f"{KEY_PEM}\n{CERTIFICATE_PEM}"


def test_a_row_is_cleaned_as_the_form_is() -> None:
    row = RequiredSignature(repositories="prod/*", keys=f" {KEY_PEM}\r\n", mode="often")

    with pytest.raises(ValidationError) as refused:
        row.clean_fields()

    assert list(refused.value.message_dict) == ["mode"]
    assert row.keys == KEY_PEM
