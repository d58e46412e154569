"""bcrypt hashes of other registries, and passwords that bcrypt can't take."""

import random
import string

import bcrypt
import pytest
from django.contrib.auth.hashers import check_password, make_password
from django.core.exceptions import ValidationError
from django.core.management import call_command

from accounts.hashers import BcryptPasswordValidator, UnusablePasswordError, password_bytes, stored_form

# Of htpasswd (Apache), whose hashes begin with $2y$.
HTPASSWD = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"


def test_a_hash_of_htpasswd_is_understood() -> None:
    assert check_password("myPassword", stored_form(HTPASSWD))
    assert not check_password("mypassword", stored_form(HTPASSWD))


def test_the_bits_of_a_salt_that_do_not_count_may_be_anything() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    group = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits
    first = group.index(hashed[28])

    for character in group[first : first + 16]:
        stored = stored_form(hashed[:28] + character + hashed[29:])
        assert check_password("secret", stored), character
        assert not check_password("wrong", stored)


def test_a_salt_of_other_bits_is_another_salt() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    other = {".": "O", "O": "e", "e": "u", "u": "."}[hashed[28]]

    assert not check_password("secret", stored_form(hashed[:28] + other + hashed[29:]))


def test_no_damaged_hash_breaks_a_login() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    source = random.Random(1)
    for _ in range(200):
        position = source.randrange(6, len(hashed))  # behind the cost, which costs what it says
        damaged = hashed[:position] + chr(source.randrange(32, 300)) + hashed[position + source.randrange(3) :]

        assert check_password("wrong", stored_form(damaged)) is False


@pytest.mark.parametrize("password", ["x" * 73, "\N{SNOWMAN}" * 25, "a\0b", "\ud800"])
def test_what_bcrypt_can_not_take_is_refused_when_it_is_set(password: str) -> None:
    with pytest.raises(UnusablePasswordError):
        make_password(password)
    with pytest.raises(ValidationError):
        BcryptPasswordValidator().validate(password)


@pytest.mark.parametrize("password", ["x", "x" * 72, "\N{SNOWMAN}" * 24, " ", "a:b"])
def test_72_bytes_are_taken(password: str) -> None:
    BcryptPasswordValidator().validate(password)

    assert len(password_bytes(password)) <= 72
    assert check_password(password, make_password(password))


def test_a_new_password_has_cost_10(real_cost: None) -> None:
    assert make_password("secret").startswith("bcrypt$$2b$10$")


def test_the_command_prints_a_hash_of_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.readline", lambda: "secret\n", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    call_command("hashpassword", "-", "--cost=4")

    assert check_password("secret", stored_form(capsys.readouterr().out.strip()))
