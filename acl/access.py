"""One access: what somebody asks for, or holds, on one resource."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """A parsed scope: the actions on one name of one type.

    `type` is `repository`, `repository(plugin)`, `registry` or a type that nothing here knows; `name` is as
    the client wrote it and need not be a repository name; `actions` may be empty, or hold `*`.
    """

    type: str
    name: str
    actions: frozenset[str]
