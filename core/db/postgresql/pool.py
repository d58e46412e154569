"""psycopg's pool, for a server that is restarted.

psycopg finds dead connections one at a time with ever longer pauses, and comes back ever more slowly to a server that
is away. Here the first that is found dead takes all others along, and a try to connect that failed ends at once:

    the server was restarted     whoever finds a dead connection gets a new one
    it is away for a moment      who needs a connection tries again, until it has been away for PATIENCE_SECONDS
    it is away for longer        who needs one tries twice and is told
    it takes no connection more  who needs one waits for one of those that there are
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

# A server that restarts is away for so long; who waits sees nothing of it.
PATIENCE_SECONDS = 5.0
RETRY_SECONDS = 0.25
# The end of a connection shows in its socket unless its whole machine was lost; to ask costs a round trip.
TRUSTED_SECONDS = 1.0

# One that gives up as soon as it has failed.
_ONLY_ATTEMPT = AttemptWithBackoff(timeout=0.0)
_ONLY_ATTEMPT.give_up_at = 1.0


class AwayError(psycopg.OperationalError):
    """There is no connection, and none could be made."""


class Connection(psycopg.Connection[Any]):
    """A connection that knows when it was used last."""

    def __init__(self, pgconn: PGconn) -> None:
        """Take what psycopg made."""
        super().__init__(pgconn)
        self.used_at = time.monotonic()

    def is_alive(self) -> bool:
        """Tell whether the server is still there, without asking it when the connection was just used."""
        if time.monotonic() - self.used_at < TRUSTED_SECONDS and not self._has_news():
            return True
        try:
            with blocking_io():
                self.execute("")
        except psycopg.Error:
            return False
        return True

    def _has_news(self) -> bool:
        """Tell whether the server has ended the connection, or said anything else that nobody asked for."""
        news = select.poll()
        news.register(self.fileno(), select.POLLIN)
        return bool(news.poll(0))


class ConnectionPool(psycopg_pool.ConnectionPool[Connection]):
    """Connections of which none that is lent is from before a restart."""

    def __init__(self, **options: Any) -> None:
        """Make a pool; the options are psycopg's."""
        # What its log says of a try that failed; how often it tries is below.
        super().__init__(reconnect_timeout=0.0, **options)
        self._away_since: float | None = None

    def getconn(self, timeout: float | None = None) -> Connection:
        """Return a connection that works, to be given back. Raises psycopg.OperationalError."""
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
        """Take a connection back; if it was lost, so are all that were made before."""
        conn.used_at = time.monotonic()
        is_news = conn.closed and conn._created_at > self._drained_at  # noqa: SLF001 - what drain() looks at
        super().putconn(conn)
        if is_news:
            self.drain()

    def reconnect_failed(self) -> None:
        """Tell those who wait when there is nothing left to wait for. psycopg calls it after a try that failed."""
        with self._lock:
            told = [] if self._nconns else list(self._waiting)
            if told:
                self._waiting.clear()
        for client in told:
            client.fail(AwayError("the server takes no connection"))

    def _patiently(self, deadline: float) -> Connection:
        """Take a connection, dead or alive, as soon as there is one."""
        begun_at = time.monotonic()
        tries = 0
        while True:
            try:
                return super().getconn(deadline - time.monotonic())
            except AwayError:
                tries, next_at = tries + 1, time.monotonic() + RETRY_SECONDS
                self._away_since = away_since = self._away_since or begun_at
                # The first try may have been under way since before the server was back.
                has_tried = tries > 1 or next_at - begun_at >= PATIENCE_SECONDS
                if next_at >= deadline or (has_tried and next_at - away_since >= PATIENCE_SECONDS):
                    raise
            time.sleep(RETRY_SECONDS)

    def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        """Connect once, in a worker: what waits between two tries are those who need a connection."""
        super()._add_connection(_ONLY_ATTEMPT, growing=growing)
