"""Django's PostgreSQL backend with a pool that survives a restart of the server."""

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

from core.db.postgresql.pool import Connection, ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with the pool of this package."""

    _connection_pools: dict[str, ConnectionPool]

    @property
    def pool(self) -> ConnectionPool | None:
        """Return the pool of the process, None without one."""
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
