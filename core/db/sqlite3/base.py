"""The backend for `ENGINE`: Django's, whose files belong to the owner of their folder.

On a full disk it uses the space of `core.db.ballast`.
"""

import os
from contextlib import suppress
from typing import Any

from django.db.backends.sqlite3 import base

from core.db import ballast
from core.private_files import give_to_owner


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        path = conn_params["database"]
        if os.path.isabs(path):  # noqa: PTH117 - a string, and perhaps a database in memory
            with suppress(OSError):  # SQLite fails next, and reports why
                make_file(path)
        # SQLite may have to make files beside it.
        ballast.yield_room(path)
        return super().get_new_connection(conn_params)

    def _start_transaction_under_autocommit(self) -> None:
        # Before BEGIN: a COMMIT that finds the disk full would have to be retried.
        ballast.yield_room(str(self.settings_dict["NAME"]))
        if self._is_observed():
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # not in the stubs
            return
        with self.wrap_database_errors:
            self.connection.execute(f"BEGIN {self.transaction_mode or ''}")  # type: ignore[attr-defined]  # as above

    def _commit(self) -> None:
        if self.connection is None or self._is_observed():
            super()._commit()  # type: ignore[misc]  # as above
            return
        with self.wrap_database_errors:
            self.connection.commit()

    def _is_observed(self) -> bool:
        """Return whether Django has to see each statement; otherwise its cursor, which takes 50 µs, is left out."""
        return self.queries_logged or bool(self.execute_wrappers)


def make_file(path: str) -> None:
    """Make an empty database at `path`, unless it exists. Raises OSError.

    It is private from its first byte on, and a file that root makes belongs to the owner of the folder, as whom the
    server runs. SQLite gives the files beside it the same mode and owner, and follows no links.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    give_to_owner(os.path.dirname(path), descriptor)  # noqa: PTH120 - a string all along
    os.close(descriptor)
