"""The text of an access token: `rgt_`, 40 random characters, and a checksum of six by which scanners know one.

The checksum is the CRC-32 of the random part in base 62, as GitHub's tokens have it: a scanner of source code finds a
leaked token without asking anybody, and a mistyped one is known as such.
"""

import re
import secrets
import string
import zlib

from django.utils.crypto import salted_hmac

PREFIX = "rgt_"
RANDOM_CHARACTERS = 40
CHECKSUM_CHARACTERS = 6

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{RANDOM_CHARACTERS}}})([0-9A-Za-z]{{{CHECKSUM_CHARACTERS}}})")


def new() -> str:
    """Return a token of 238 random bits."""
    random = "".join(secrets.choice(_DIGITS) for _ in range(RANDOM_CHARACTERS))
    return f"{PREFIX}{random}{_checksum(random)}"


def is_one(text: str) -> bool:
    """Tell whether `text` has the form and the checksum of a token; no password of a person has by chance."""
    found = _TOKEN.fullmatch(text)
    return found is not None and _checksum(found[1]) == found[2]


def hash_of(token: str) -> str:
    """Return what is stored: an HMAC with `server.secret_key`. 238 random bits need no slow hash."""
    return salted_hmac("tokens.access", token, algorithm="sha256").hexdigest()


def _checksum(random: str) -> str:
    number, text = zlib.crc32(random.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text
