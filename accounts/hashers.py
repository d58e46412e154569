"""bcrypt as files of other registries hold it: `$2a$`, `$2b$` and `$2y$` hashes, kept as they are."""

import logging

import bcrypt
from django.contrib.auth.hashers import BCryptPasswordHasher

MAX_PASSWORD_BYTES = 72

_BASE64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

logger = logging.getLogger(__name__)


class UnusablePasswordError(ValueError):
    """bcrypt can't hash this password: above 72 bytes, with a NUL, or not encodable as UTF-8."""


class ImportedBCryptHasher(BCryptPasswordHasher):
    """Django's plain bcrypt hasher, which leaves an imported hash alone after a login.

    Django's own re-hashes a password at login when the cost differs from the hasher's: an import would
    then be drift at the first login. `bcrypt$` plus the hash is the form that Django stores.
    """

    rounds = 10

    def salt(self) -> str:
        """Return a new salt with the cost for new passwords."""
        return bcrypt.gensalt(self.rounds).decode("ascii")

    def encode(self, password: str, salt: str) -> str:
        """Return the stored form of `password`. Raises UnusablePasswordError."""
        hashed = bcrypt.hashpw(password_bytes(password), salt.encode("ascii"))
        return stored_form(hashed.decode("ascii"))

    def verify(self, password: str, encoded: str) -> bool:
        """Tell whether `password` belongs to `encoded`; what bcrypt can't hash is a wrong password."""
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
        """Never: whoever chose the hash chose its cost."""
        return False

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Do nothing: the costs of stored hashes differ on purpose."""


def is_too_long(password: str) -> bool:
    """Tell whether `password` has more bytes than bcrypt looks at."""
    return len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES


def password_bytes(password: str) -> bytes:
    """Return `password` as bcrypt takes it. Raises UnusablePasswordError."""
    try:
        data = password.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnusablePasswordError("the password is not valid text") from error
    if len(data) > MAX_PASSWORD_BYTES or b"\0" in data:
        raise UnusablePasswordError(f"a password has at most {MAX_PASSWORD_BYTES} bytes (UTF-8), and no NUL")
    return data


def _canonical(bcrypt_hash: str) -> str:
    """Return the hash with a salt that the library takes: of its last character only two bits count.

    Other implementations let the rest be anything, and repeat it in the hash.
    """
    head, last, tail = bcrypt_hash[:28], bcrypt_hash[28:29], bcrypt_hash[29:]
    position = _BASE64.find(last)
    return f"{head}{_BASE64[position & 0b110000]}{tail}" if last and position >= 0 else bcrypt_hash


def stored_form(bcrypt_hash: str) -> str:
    """Return how a bcrypt hash of the configuration file is kept in `Account.password`."""
    return f"{ImportedBCryptHasher.algorithm}${bcrypt_hash}"


def equalize_timing(password: str) -> None:
    """Spend the time of one verification, so that an unknown account costs what a known one does."""
    ImportedBCryptHasher().verify(password, _DECOY)


# A well-formed hash of cost 10 that no password is known for.
_DECOY = stored_form("$2b$10$" + "." * 21 + "O" + "." * 31)
