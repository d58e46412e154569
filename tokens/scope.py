"""Scopes: `type:name:actions`, in token requests and challenges.

Source: Docker registry v2, "Token scope documentation". Types, names and actions may have more characters than in that
grammar: an unknown one is granted no actions and is no error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from acl.actions import ALL, Access
from acl.names import InvalidNameError, RepositoryName, parse_name
from core.api.errors import ErrorCode, RegistryError, quoted

# It limits the number of scopes, as does the size of a token.
MAX_CHARACTERS = 8 * 1024

REPOSITORY_TYPES = ("repository", "repository(plugin)")

_KNOWN = frozenset(ALL)
_TYPE = re.compile(r"[A-Za-z0-9_-]+(?:\([A-Za-z0-9_-]+\))?")
# Visible ASCII without space, comma, double quote and backslash.
_NAME = re.compile(r'(?:(?![,"\\])[!-~])+')
_ACTION = re.compile(r"[A-Za-z0-9_-]+|\*")


def parse_scopes(values: Iterable[str]) -> tuple[Access, ...]:
    """Return the requested access of the `scope` parameters, in the order of first mention.

    Each value is a space-separated list of scopes; scopes of one type and name are merged. Raises RegistryError, status
    400, for a scope that is not `type:name:actions`, and for more than 8 KiB in total.
    """
    listed = list(values)
    if sum(map(len, listed)) > MAX_CHARACTERS:
        detail = f"the scopes have more than {MAX_CHARACTERS} characters"
        raise RegistryError(ErrorCode.SCOPE_INVALID, detail, message=detail)
    merged: dict[tuple[str, str], set[str]] = {}
    for access in (_parse_scope(text) for value in listed for text in value.split(" ") if text):
        merged.setdefault((access.type, access.name), set()).update(access.actions)
    return tuple(Access(type_, name, frozenset(actions)) for (type_, name), actions in merged.items())


def format_access(access: Access) -> str:
    """Return `type:name:actions`, with the actions in the order pull, push, delete, `*`."""
    return f"{access.type}:{access.name}:{','.join(action for action in ALL if action in access.actions)}"


def repository_of(access: Access) -> RepositoryName | None:
    """Return the repository that an access is about, None when it is about none that could exist."""
    if access.type not in REPOSITORY_TYPES:
        return None
    try:
        return parse_name(access.name)
    except InvalidNameError:
        return None


def _parse_scope(text: str) -> Access:
    # The name is between the first and the last colon: it may contain host:port.
    type_, _, rest = text.partition(":")
    name, _, listed = rest.rpartition(":")
    actions = frozenset(action for action in listed.split(",") if action)
    if not (_TYPE.fullmatch(type_) and _NAME.fullmatch(name) and all(map(_ACTION.fullmatch, actions))):
        detail = f"scope {quoted(text)} is not of the form type:name:actions"
        raise RegistryError(ErrorCode.SCOPE_INVALID, detail, message=detail)
    # Unknown actions are granted nothing, and a client could fill the caches with them.
    return Access(type_, name, actions & _KNOWN)
