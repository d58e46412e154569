"""The section `users`."""

import re
from dataclasses import replace
from typing import Any

from accounts.names import ACCOUNT_NAME
from configuration.converters import boolean, group_name, list_of
from configuration.element import REFUSED, Element, Refused, quoted
from configuration.section import Key, Section, Values
from configuration.values import UserEntry

PLACEHOLDER = "PUT-A-BCRYPT-HASH-HERE"
"""What `config.example.yaml` holds where a hash belongs."""

MIN_COST, WARNED_BELOW_COST, MAX_COST = 4, 10, 16

_HASH = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_USERS = "a mapping of names to users, {} for no users, or no key `users` to keep them in the admin only"
_USER_NAME = "a name of at most 128 letters, digits and . _ @ + $ -, with a letter or digit first"
_HOW = "make one with `htpasswd -nbBC 10 user password` or `manage.py hashpassword`"
_PASSWORD = f"a bcrypt hash ($2a$, $2b$ or $2y$, 60 characters); {_HOW}"


def users(element: Element) -> tuple[UserEntry, ...]:
    """Return every user, in the order of the file."""
    entries = [_user(name, member) for name, member in element.members(_USERS).items()]
    return tuple(entry for entry in entries if entry is not REFUSED)


def password(element: Element) -> str:
    """Return a bcrypt hash as it stands; a cheap one is a warning."""
    bcrypt_hash = element.text(_PASSWORD)
    if bcrypt_hash == PLACEHOLDER:
        raise Refused(f"a bcrypt hash in its place; {_HOW}", "the placeholder of config.example.yaml")
    match = _HASH.fullmatch(bcrypt_hash)
    if match is None:
        raise Refused(_PASSWORD)
    cost = int(match["cost"])
    if not MIN_COST <= cost <= MAX_COST:
        raise Refused(f"a cost from {MIN_COST} to {MAX_COST}; {_HOW}", f"a bcrypt hash of cost {cost}")
    if cost < WARNED_BELOW_COST:
        element.warn(f"a bcrypt cost of {cost} is quick to guess; {WARNED_BELOW_COST} is better")
    return bcrypt_hash


def _user(name: str, element: Element) -> Any:
    if ACCOUNT_NAME.fullmatch(name) is None:
        element.report(_USER_NAME, quoted(name))
    user = element.read(USER)
    return user if user is REFUSED else replace(user, name=name)


def _build(values: Values, element: Element) -> UserEntry:
    is_superuser = values.get("superuser", False)
    return UserEntry(
        name="",
        password=values["password"],
        is_superuser=is_superuser,
        is_staff=is_superuser or values.get("staff", False),
        groups=values.get("groups", ()),
        is_active=values.get("active", True),
        line=element.line,
    )


USER = Section(
    {
        "password": Key(password, required=_PASSWORD, is_secret=True),
        "superuser": Key(boolean),
        "staff": Key(boolean),
        "groups": Key(list_of(group_name, "a list of names of groups")),
        "active": Key(boolean),
    },
    _build,
)
