"""The pool of connections, on a PostgreSQL that goes away, comes back and runs out."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from core import blocking
from core.db.postgresql.pool import AwayError, Connection, ConnectionPool
from tests.postgresql import Cluster

LONG = 60.0


class Pool(ConnectionPool):
    """A pool that waits, and counts how often it could not connect."""

    def __init__(self, conninfo: str | Callable[[], str], max_size: int) -> None:
        """Make an empty one."""
        self.refused = threading.Semaphore(0)
        super().__init__(
            conninfo=conninfo,
            connection_class=Connection,
            kwargs={"autocommit": True},
            min_size=0,
            max_size=max_size,
            timeout=LONG,
            open=True,
        )

    def reconnect_failed(self) -> None:
        super().reconnect_failed()
        self.refused.release()


@contextmanager
def pool_of(postgresql: Cluster, max_size: int) -> Iterator[Pool]:
    """Make a pool of connections to that server."""
    with Pool(f"{postgresql.url}/postgres", max_size) as pool:
        yield pool


def borrowed(pool: Pool, number: int) -> list[Connection]:
    """Take so many connections at once, and give them back."""
    connections = [pool.getconn() for _ in range(number)]
    for connection in connections:
        pool.putconn(connection)
    return connections


def end(postgresql: Cluster, connection: Connection) -> None:
    """Let the server end a connection, and return once it is gone."""
    with psycopg.connect(f"{postgresql.url}/postgres") as other:
        ended = other.execute("SELECT pg_terminate_backend(%s, 60000)", [connection.info.backend_pid])
        assert ended.fetchone() == (True,)


def answer_by(pool: Pool) -> object:
    """Return what the server answers to a connection that is borrowed."""
    with pool.connection() as connection:
        return connection.execute("SELECT 1").fetchone()


def test_a_connection_is_used_again(postgresql: Cluster) -> None:
    with pool_of(postgresql, 2) as pool:
        assert borrowed(pool, 1) == borrowed(pool, 1)


def test_the_first_that_is_found_dead_takes_all_others_along(postgresql: Cluster) -> None:
    with pool_of(postgresql, 3) as pool:
        before = borrowed(pool, 3)
        postgresql.stop(signal.SIGQUIT)
        postgresql.start()

        answer = answer_by(pool)

        assert answer == (1,)
        assert all(other.closed for other in before)


def test_one_that_dies_in_use_takes_the_idle_ones_along(postgresql: Cluster) -> None:
    with pool_of(postgresql, 2) as pool:
        _, idle = borrowed(pool, 2)
        broken = pool.getconn()
        end(postgresql, broken)
        with pytest.raises(psycopg.OperationalError):
            broken.execute("SELECT 1")

        pool.putconn(broken)

        assert (idle is not broken, idle.closed) == (True, True)


def test_one_that_was_ended_while_idle_is_not_lent(postgresql: Cluster) -> None:
    with pool_of(postgresql, 1) as pool:
        (ended,) = borrowed(pool, 1)
        end(postgresql, ended)

        assert answer_by(pool) == (1,)


def test_who_asks_while_the_server_restarts_waits_for_it(postgresql: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """And lends its thread: others have to be served who need no database."""
    lent = threading.Semaphore(0)
    monkeypatch.setattr("core.db.postgresql.pool.PATIENCE_SECONDS", LONG)
    monkeypatch.setattr("core.db.postgresql.pool.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(blocking, "_release_slot", lambda: lending(lent))
    postgresql.stop()

    with pool_of(postgresql, 1) as pool, ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(answer_by, pool) for _ in range(4)]
        have_lent = all(lent.acquire(timeout=LONG) for _ in answers)
        # More often than four that try twice.
        were_refused = all(pool.refused.acquire(timeout=LONG) for _ in range(9))
        postgresql.start()

        assert [answer.result() for answer in answers] == [(1,)] * 4
    assert have_lent
    assert were_refused


@contextmanager
def lending(lent: threading.Semaphore) -> Iterator[None]:
    """Count."""
    lent.release()
    yield


def test_who_asks_a_server_that_is_away_for_long_is_told_so(
    postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.db.postgresql.pool.PATIENCE_SECONDS", 0.0)
    postgresql.stop()

    with pool_of(postgresql, 2) as pool:
        with ThreadPoolExecutor(4) as threads:
            told = [threads.submit(answer_by, pool) for _ in range(4)]
        postgresql.start()

        assert {type(each.exception()) for each in told} == {AwayError}
        assert answer_by(pool) == (1,)


def test_who_came_in_on_a_try_that_fails_tries_again(postgresql: Cluster) -> None:
    urls = iter(["postgresql://127.0.0.1:1/nobody", f"{postgresql.url}/postgres"])
    with Pool(lambda: next(urls), 1) as pool:
        pool._away_since = time.monotonic() - LONG

        assert answer_by(pool) == (1,)


def test_who_finds_no_connection_left_at_the_server_waits_for_one_of_the_pool(
    postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.db.postgresql.pool.PATIENCE_SECONDS", 0.0)
    with psycopg.connect(f"{postgresql.url}/postgres", autocommit=True) as other:
        other.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 1")
    with Pool(f"{postgresql.url.replace('registry@', 'few@')}/postgres", 2) as pool, ThreadPoolExecutor(1) as threads:
        only = pool.getconn()
        another = threads.submit(pool.getconn)
        assert pool.refused.acquire(timeout=LONG)
        pool.putconn(only)

        assert another.result() is only
        pool.putconn(only)
