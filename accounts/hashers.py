"""bcrypt hashes (`$2a$`, `$2b$`, `$2y$`), imported unchanged from the files of other registries."""

import logging

import bcrypt
from django.contrib.auth.hashers import BCryptPasswordHasher
from django.core.exceptions import ValidationError

MAX_PASSWORD_BYTES = 72

_BASE64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

logger = logging.getLogger(__name__)


class UnusablePasswordError(ValueError):
    """bcrypt can't hash this password: more than 72 bytes, a NUL, or not encodable as UTF-8."""


class ImportedBCryptHasher(BCryptPasswordHasher):
    """Django's plain bcrypt hasher, without the rehash at login.

    Django rehashes a password at login when the cost differs from the hasher's: the account would then differ from its
    configuration entry. Django stores `bcrypt$` plus the hash.
    """

    rounds = 10

    def salt(self) -> str:
        return bcrypt.gensalt(self.rounds).decode("ascii")

    def encode(self, password: str, salt: str) -> str:
        """Return the stored form of `password`. Raises UnusablePasswordError."""
        hashed = bcrypt.hashpw(password_bytes(password), salt.encode("ascii"))
        return stored_form(hashed.decode("ascii"))

    def verify(self, password: str, encoded: str) -> bool:
        """Tell whether `password` matches `encoded`; a password that bcrypt can't hash is wrong."""
        _, _, hashed = encoded.partition("$")
        try:
            data, is_usable = password_bytes(password), True
        except UnusablePasswordError:
            data, is_usable = b"", False
        try:
            return bcrypt.checkpw(data, _canonical(hashed).encode()) and is_usable
        except ValueError:
            logger.warning("a stored password is not a bcrypt hash: nobody can log in with it")
            return False

    def must_update(self, encoded: str) -> bool:
        """Keep the cost of the imported hash."""
        return False

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Do nothing: stored hashes differ in cost on purpose."""


class BcryptPasswordValidator:
    """Refuse a password that bcrypt would truncate or can't hash, and any of a robot; no hash is validated."""

    def validate(self, password: str, user: object = None) -> None:
        if getattr(user, "is_robot", False):
            raise ValidationError(f"{user} is a robot: it has access tokens, and no password.", code="robot")
        try:
            password_bytes(password)
        except UnusablePasswordError as error:
            raise ValidationError(str(error), code="password_unusable") from error

    def get_help_text(self) -> str:
        return f"At most {MAX_PASSWORD_BYTES} bytes."


def password_bytes(password: str) -> bytes:
    """Return `password` as UTF-8. Raises UnusablePasswordError."""
    try:
        data = password.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnusablePasswordError("the password is not valid text") from error
    if len(data) > MAX_PASSWORD_BYTES or b"\0" in data:
        raise UnusablePasswordError(f"a password has at most {MAX_PASSWORD_BYTES} bytes (UTF-8), and no NUL")
    return data


def _canonical(bcrypt_hash: str) -> str:
    """Clear the unused bits of the salt's last character: only two of them count.

    Other implementations set them arbitrarily, and the library refuses such a salt.
    """
    head, last, tail = bcrypt_hash[:28], bcrypt_hash[28:29], bcrypt_hash[29:]
    position = _BASE64.find(last)
    return f"{head}{_BASE64[position & 0b110000]}{tail}" if last and position >= 0 else bcrypt_hash


def stored_form(bcrypt_hash: str) -> str:
    """Return the value of `Account.password` for a bcrypt hash of the configuration file."""
    return f"{ImportedBCryptHasher.algorithm}${bcrypt_hash}"


def equalize_timing(password: str) -> None:
    """Verify a dummy hash, so that the response time does not reveal whether the account exists."""
    ImportedBCryptHasher().verify(password, _DECOY)


NO_PASSWORD = "$2b$10$" + "." * 21 + "O" + "." * 31
"""A well-formed hash of cost 10 without a known password."""

_DECOY = stored_form(NO_PASSWORD)
