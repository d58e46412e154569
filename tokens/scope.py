"""Scopes: `type:name:actions`, as clients ask for them and as a challenge names them.

Source: Docker registry v2, "Token scope documentation". Read more liberally than that grammar in the
characters of types, names and actions: what nothing here knows is granted no actions, and is no error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from acl.actions import Access
from core.api.errors import ErrorCode, RegistryError, quoted

# How many they are follows from this, and from what of a token fits into a header.
MAX_CHARACTERS = 8 * 1024

_ACTION_ORDER = ("pull", "push", "delete", "*")

_TYPE = re.compile(r"[A-Za-z0-9_-]+(?:\([A-Za-z0-9_-]+\))?")
# Visible ASCII without what separates or quotes: space, comma, double quote, backslash.
_NAME = re.compile(r'(?:(?![,"\\])[!-~])+')
_ACTION = re.compile(r"[A-Za-z0-9_-]+|\*")


def parse_scopes(values: Iterable[str]) -> tuple[Access, ...]:
    """Return what the `scope` parameters ask for, in the order of first mention.

    Each value is a space-separated list of scopes; several scopes of one type and name become one access
    with the actions of all. Raises RegistryError, status 400, for a scope without the form
    `type:name:actions`, and for more than 8 KiB in all.
    """
    merged: dict[tuple[str, str], set[str]] = {}
    for text in _scopes(values):
        access = _parse_scope(text)
        merged.setdefault((access.type, access.name), set()).update(access.actions)
    return tuple(Access(type_, name, frozenset(actions)) for (type_, name), actions in merged.items())


def format_access(access: Access) -> str:
    """Return `type:name:actions`, the actions in the order pull, push, delete, `*`, then any others."""
    return f"{access.type}:{access.name}:{','.join(sorted(access.actions, key=_action_order))}"


def _scopes(values: Iterable[str]) -> list[str]:
    listed = list(values)
    if sum(map(len, listed)) > MAX_CHARACTERS:
        raise _scope_error(f"the scopes have more than {MAX_CHARACTERS} characters")
    return [text for value in listed for text in value.split(" ") if text]


def _parse_scope(text: str) -> Access:
    # The name is all between the first colon and the last: it may hold host:port.
    type_, _, rest = text.partition(":")
    name, _, listed = rest.rpartition(":")
    actions = frozenset(action for action in listed.split(",") if action)
    if not (_TYPE.fullmatch(type_) and _NAME.fullmatch(name) and all(map(_ACTION.fullmatch, actions))):
        raise _scope_error(f"scope {quoted(text)} is not of the form type:name:actions")
    return Access(type_, name, actions)


def _action_order(action: str) -> tuple[int, str]:
    position = _ACTION_ORDER.index(action) if action in _ACTION_ORDER else len(_ACTION_ORDER)
    return position, action


def _scope_error(detail: str) -> RegistryError:
    return RegistryError(ErrorCode.SCOPE_INVALID, detail, message=detail)
