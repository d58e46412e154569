"""The person that the claims of a verified ID token describe."""

from collections.abc import Mapping
from typing import Any

from accounts.providers import OIDC
from configuration.company_login import Oidc
from identity_providers.oidc.client import SignInError
from identity_providers.person import Person, mirrored

MAX_SUBJECT_CHARACTERS = 255


def person_of(claims: Mapping[str, Any], oidc: Oidc) -> Person:
    """Return the person. Raises SignInError for claims that name nobody."""
    subject, name = claims.get("sub"), claims.get(oidc.name_claim)
    # OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
    if not isinstance(subject, str) or not subject.isascii() or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise SignInError("the claim sub is missing or no string of at most 255 characters")
    if not isinstance(name, str) or not name:
        raise SignInError(f"the claim {oidc.name_claim} (auth.oidc.name_claim) is missing")
    if oidc.name_claim == "email" and claims.get("email_verified") is not True:
        raise SignInError("the provider has not verified the e-mail address, which anybody may have typed")
    groups = _groups(claims, oidc)
    return Person(
        provider=OIDC,
        name=name,
        subject=subject,
        groups=mirrored(groups, oidc.mirror),
        is_superuser=oidc.superuser_group in groups if oidc.superuser_group else None,
        is_staff=oidc.staff_group in groups if oidc.staff_group else None,
    )


def _groups(claims: Mapping[str, Any], oidc: Oidc) -> list[str]:
    listed = claims.get(oidc.groups_claim) if oidc.groups_claim else None
    # One group may come as a string.
    given = [listed] if isinstance(listed, str) else listed
    return [group for group in given if isinstance(group, str)] if isinstance(given, list) else []
