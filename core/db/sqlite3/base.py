"""The backend that `ENGINE` names: Django's, whose files belong to the owner of their folder.

On a full disk it writes in the room that `core.db.ballast` has kept.
"""

import os
from contextlib import suppress
from typing import Any

from django.db.backends.sqlite3 import base

from core.db import ballast
from core.private_files import give_to_owner


class DatabaseWrapper(base.DatabaseWrapper):
    """A thread's access to SQLite."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; a file that is not there yet is made first."""
        path = conn_params["database"]
        if os.path.isabs(path):  # noqa: PTH117 - a text, and perhaps no file but a database in memory
            with suppress(OSError):  # which SQLite meets next, and reports
                make_file(path)
        # The files beside it may have to be made.
        ballast.yield_room(path)
        return super().get_new_connection(conn_params)

    def _start_transaction_under_autocommit(self) -> None:
        """Begin; a COMMIT that finds the disk full would have to be tried again."""
        ballast.yield_room(str(self.settings_dict["NAME"]))
        super()._start_transaction_under_autocommit()  # type: ignore[misc]  # not in the stubs


def make_file(path: str) -> None:
    """Make an empty database at `path`, unless there is one. Raises OSError.

    Nobody else may read it from its first byte on, and what a command of root makes belongs to the owner of the folder,
    as whom the server runs. SQLite gives the files beside it the same mode and owner, and follows no link to make them.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    give_to_owner(os.path.dirname(path), descriptor)  # noqa: PTH120 - a text all along
    os.close(descriptor)
