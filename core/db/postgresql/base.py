"""The backend that `ENGINE` names: Django's, with a pool that a restart of the server does not stop."""

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

from core.db.postgresql.pool import Connection, ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    """A thread's access to PostgreSQL."""

    _connection_pools: dict[str, ConnectionPool]

    @property
    def pool(self) -> ConnectionPool | None:
        """Return the pool that all threads of the process share, None when there is to be none."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            pool = ConnectionPool(
                connection_class=Connection,
                kwargs=self.get_connection_params() | {"autocommit": True},
                configure=self._configure_connection,  # type: ignore[attr-defined]  # the stubs lack it
                open=False,
                **options,
            )
            self._connection_pools.setdefault(self.alias, pool)
        return self._connection_pools[self.alias]
