"""psycopg's pool, adapted to restarts of the server.

psycopg detects dead connections one at a time, and reconnects with exponential backoff. Here the first dead connection
drains the pool, and a failed attempt to connect ends at once. Django's pool option with CONN_HEALTH_CHECKS fails
tests/faults/test_restarted_database.py: the first push after a restart is answered 503.

    the server was restarted     the request that finds a dead connection gets a new one
    it is down briefly           requests retry, until it has been down for PATIENCE_SECONDS
    it is down for longer        requests try twice, then fail
    it refuses more connections  requests wait for one of the pool
"""

import select
import time
from contextlib import nullcontext
from typing import Any

import psycopg
import psycopg_pool
from psycopg.pq.abc import PGconn
from psycopg_pool.base import AttemptWithBackoff

from core.blocking import blocking_io

# The usual time of a restart, which requests wait out.
PATIENCE_SECONDS = 5.0
RETRY_SECONDS = 0.25
# A closed connection shows in its socket unless the whole machine was lost; a query costs a round trip.
TRUSTED_SECONDS = 1.0

# Gives up after its first failure.
_ONLY_ATTEMPT = AttemptWithBackoff(timeout=0.0)
_ONLY_ATTEMPT.give_up_at = 1.0


class AwayError(psycopg.OperationalError):
    """The pool has no connection, and could not make one."""


class Connection(psycopg.Connection[Any]):
    """A connection with the time of its last use."""

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self.used_at = time.monotonic()

    def is_alive(self) -> bool:
        """Return whether the connection works, without a query if it was used in the last TRUSTED_SECONDS."""
        if time.monotonic() - self.used_at < TRUSTED_SECONDS:
            # Readable without a query: the server has ended the connection, or sent a notice.
            unread = select.poll()
            unread.register(self.fileno(), select.POLLIN)
            if not unread.poll(0):
                return True
        try:
            with blocking_io():
                self.execute("")
        except psycopg.Error:
            return False
        return True


class ConnectionPool(psycopg_pool.ConnectionPool[Connection]):
    """A pool that returns no connection from before a restart. Options are psycopg's."""

    def __init__(self, **options: Any) -> None:
        # Only for psycopg's log of a failed attempt; `_add_connection` limits the attempts.
        super().__init__(reconnect_timeout=0.0, **options)
        self._away_since: float | None = None

    def getconn(self, timeout: float | None = None) -> Connection:
        """Return a working connection. Raises psycopg.OperationalError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            with nullcontext() if self._pool else blocking_io():
                connection = self._patiently(deadline)
            if connection.is_alive():
                self._away_since = None
                return connection
            connection.close()
            self.putconn(connection)

    def putconn(self, conn: Connection) -> None:
        """Return a connection to the pool; if it is dead, drain all that were made before."""
        conn.used_at = time.monotonic()
        is_first_dead = conn.closed and conn._created_at > self._drained_at  # noqa: SLF001 - what drain() looks at
        super().putconn(conn)
        if is_first_dead:
            self.drain()

    def reconnect_failed(self) -> None:
        """Fail the waiting requests if the pool has no connection. psycopg calls it after a failed attempt."""
        with self._lock:
            failed = [] if self._nconns else list(self._waiting)
            if failed:
                self._waiting.clear()
        for client in failed:
            client.fail(AwayError("the server takes no connection"))

    def _patiently(self, deadline: float) -> Connection:
        """Return the next free connection, dead or alive."""
        begun_at = time.monotonic()
        tries = 0
        while True:
            try:
                return super().getconn(deadline - time.monotonic())
            except AwayError:
                tries, next_at = tries + 1, time.monotonic() + RETRY_SECONDS
                self._away_since = away_since = self._away_since or begun_at
                # The first attempt may have begun before the server was up again.
                has_tried = tries > 1 or next_at - begun_at >= PATIENCE_SECONDS
                if next_at >= deadline or (has_tried and next_at - away_since >= PATIENCE_SECONDS):
                    raise
            time.sleep(RETRY_SECONDS)

    def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        """Connect once, in a worker thread: the requests, not the worker, wait between two attempts."""
        super()._add_connection(_ONLY_ATTEMPT, growing=growing)
