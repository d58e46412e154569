"""Where a change comes from: the request, and the permissions version that it was decided at."""

from typing import NamedTuple

from core.api.notes import HasMeta


class Origin(NamedTuple):
    """The origin of a change; a `request` of None is a command, a `version` of None means the current one."""

    request: HasMeta | None = None
    version: str | None = None


COMMAND = Origin()
