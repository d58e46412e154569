"""The Basic credentials of a request (RFC 7617)."""

import base64
import binascii
from dataclasses import dataclass, field

from core.api.notes import HasMeta


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password, which are not verified; `repr` leaves the password out."""

    name: str
    password: str = field(repr=False)


class MalformedCredentialsError(ValueError):
    """The Authorization header is not Basic with base64 of `name:password`."""


def basic_credentials(request: HasMeta) -> Credentials | None:
    """Return the credentials of the request, None when it has no Authorization header.

    Raises MalformedCredentialsError.
    """
    header = request.META.get("HTTP_AUTHORIZATION")
    if not header:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise MalformedCredentialsError
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise MalformedCredentialsError from error
    name, colon, password = text.partition(":")
    if not colon:
        raise MalformedCredentialsError
    return Credentials(name, password)
