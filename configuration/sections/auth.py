"""The section `auth`."""

from datetime import timedelta

from configuration.converters import choice, duration, file_path, text
from configuration.element import Element, Refused
from configuration.section import Key, Section, Values, below
from configuration.values import Auth

MIN_HMAC_SECRET_BYTES = 32

_HMAC_SECRET = f"a text of at least {MIN_HMAC_SECRET_BYTES} bytes, as `openssl rand -base64 32` makes it"
# Realm and service stand between quotes in the header WWW-Authenticate.
_QUOTED_STRING = text('printable ASCII characters, without " and \\', r"[ !#-\[\]-~]+")


def hmac_secret(element: Element) -> str:
    """Return the secret of at least 32 bytes, the length of what HS256 signs with (RFC 7518, 3.2)."""
    value = text(_HMAC_SECRET, max_characters=4096)(element)
    if len(value.encode()) < MIN_HMAC_SECRET_BYTES:
        raise Refused(_HMAC_SECRET)
    return value


def _check(values: Values, element: Element) -> None:
    method = values.get("signing_method", "rsa")
    if method == "hmac" and "hmac_secret" not in values:
        expected = f"{_HMAC_SECRET}: signing_method is hmac"
        below(element, "hmac_secret").report(expected, "nothing")
    if method == "rsa" and "hmac_secret" in values:
        below(element, "hmac_secret").warn("not used: signing_method is rsa")
    if method == "rsa" and "public_key" in values and "private_key" not in values:
        below(element, "private_key").report("a path, since public_key is given", "nothing")
    if method == "hmac" and ("private_key" in values or "public_key" in values):
        element.warn("private_key and public_key are not used: signing_method is hmac")


def _build(values: Values, _element: Element) -> Auth:
    return Auth(**values)


AUTH = Section(
    {
        "realm": Key(_QUOTED_STRING),
        "service": Key(_QUOTED_STRING),
        "issuer": Key(_QUOTED_STRING),
        "signing_method": Key(choice("rsa", "hmac")),
        "private_key": Key(file_path),
        "public_key": Key(file_path),
        "hmac_secret": Key(hmac_secret, is_secret=True, environment="REGISTRY_AUTH_HMAC_SECRET"),
        "expiration": Key(duration(timedelta(seconds=60), "of at least 60s")),
    },
    _build,
    _check,
)
