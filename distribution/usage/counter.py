"""Count pulls and pushes in memory and store them in batches: a request pays one append.

    pull, push ──> deque ──> thread, every INTERVAL_SECONDS ──> daily counts; times of repository, tag, manifest

Times are those of the batch, and replaced after a minute. A killed process loses what it had not stored; a
COMMIT whose answer is lost may count twice.
"""

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from django.db import Error, connection, connections

from core.api.errors import RegistryError
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import release_connection
from distribution.usage import sizes, storage

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
# Oldest first, events beyond it are forgotten: 10,000 pulls a second for one interval, or a long fault of the database.
MAX_EVENTS = 50_000
# Rows of a batch that could not be stored; beyond it the batch is forgotten.
MAX_UNSAVED = 20_000
# PostgreSQL locks rows: a transaction that locks only one can't be part of a deadlock.
BATCH = {"sqlite": 500, "postgresql": 1}

_PRECISION = "statement_timestamp() - interval '60 seconds'"
_COUNT = Statement("""
INSERT INTO distribution_dailyuse (repository, day, pulls, pushes) VALUES (%s, %s::date, %s, %s)
ON CONFLICT (repository, day) DO UPDATE SET pulls = distribution_dailyuse.pulls + excluded.pulls,
    pushes = distribution_dailyuse.pushes + excluded.pushes
""")
_REPOSITORY_PULLED = Statement(f"""
UPDATE distribution_repository SET pulled_at = statement_timestamp()
WHERE name = %s AND (pulled_at IS NULL OR pulled_at < {_PRECISION})
""")  # noqa: S608 - of constants
_REPOSITORY_PUSHED = Statement(f"""
UPDATE distribution_repository SET pushed_at = statement_timestamp()
WHERE name = %s AND (pushed_at IS NULL OR pushed_at < {_PRECISION})
""")  # noqa: S608 - of constants
_TAG_PULLED = Statement(f"""
UPDATE distribution_tag SET pulled_at = statement_timestamp()
WHERE repository_id = (SELECT id FROM distribution_repository WHERE name = %s) AND name = %s
AND (pulled_at IS NULL OR pulled_at < {_PRECISION})
""")  # noqa: S608 - of constants
_MANIFEST_PULLED = Statement(f"""
UPDATE distribution_manifest SET pulled_at = statement_timestamp()
WHERE id = %s AND (pulled_at IS NULL OR pulled_at < {_PRECISION})
""")  # noqa: S608 - of constants


class _Event(NamedTuple):
    """A use of a repository: GET of a manifest, HEAD of a tag, or PUT of a manifest (`manifest` 0)."""

    repository: str
    tag: str
    manifest: int
    is_get: bool


class _Write(NamedTuple):
    statement: Statement
    parameters: tuple[object, ...]


_events: deque[_Event] = deque(maxlen=MAX_EVENTS)


def pulled(repository: str, manifest: int, tag: str, *, is_get: bool) -> None:
    """Count a pull of the manifest with this primary key; `tag` is empty for a pull by digest."""
    _events.append(_Event(repository, tag, manifest, is_get))


def pushed(repository: str) -> None:
    """Count a push of a manifest."""
    _events.append(_Event(repository, "", 0, is_get=False))


class Recorder:
    """The thread of a worker that stores what its requests count."""

    def __init__(self) -> None:
        self._unsaved: deque[_Write] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="usage", daemon=True)
        self._changed: set[str] = set()
        self._storage_seen_at = -math.inf

    def start(self) -> None:
        """Store the counts every INTERVAL_SECONDS from now on."""
        self._thread.start()

    def close(self) -> None:
        """Store the last counts, and end the thread."""
        self._stop.set()
        self._thread.join(INTERVAL_SECONDS)

    def _work(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            self.store()
        self.store()
        connections.close_all()

    def store(self) -> None:
        """Store what was counted since the last call; what can't be stored now stays for the next one."""
        if len(self._unsaved) > MAX_UNSAVED:
            logger.warning("counts of pulls are forgotten", extra={"rows": len(self._unsaved)})
            self._unsaved.clear()
        events = [_events.popleft() for _ in range(len(_events))]
        self._unsaved += _writes(events)
        self._changed |= {event.repository for event in events if not event.manifest}
        try:
            self._store_unsaved()
            # A repository that is pushed to all the time is summed once an interval.
            names = list(islice(self._changed, sizes.AT_ONCE))
            sizes.refresh_named(names)
            self._changed.difference_update(names)
            if time.monotonic() - self._storage_seen_at > storage.INTERVAL_SECONDS:
                self._storage_seen_at = time.monotonic()
                storage.see_unless_fresh()
        except (Error, RegistryError) as error:
            logger.warning("counts of pulls can't be stored yet: %s", error)
        except Exception:  # the thread stores the next batch all the same
            logger.exception("counts of pulls can't be stored")
        finally:
            release_connection()

    def _store_unsaved(self) -> None:
        size = BATCH[connection.vendor]
        while batch := list(islice(self._unsaved, size)):
            transactions.run_volatile(_run_all, batch)
            for _ in batch:
                self._unsaved.popleft()


def _writes(events: list[_Event]) -> Iterator[_Write]:
    """Yield the statements that store `events`."""
    # Events of the last seconds before midnight may count for the next day.
    day = datetime.now(UTC).date().isoformat()
    pulls = Counter(event.repository for event in events if event.is_get)
    pushes = Counter(event.repository for event in events if not event.manifest)
    for name in pulls.keys() | pushes.keys():
        yield _Write(_COUNT, (name, day, pulls[name], pushes[name]))
    yield from (_Write(_REPOSITORY_PULLED, (name,)) for name in pulls)
    yield from (_Write(_REPOSITORY_PUSHED, (name,)) for name in pushes)
    yield from (_Write(_TAG_PULLED, tag) for tag in {(event.repository, event.tag) for event in events if event.tag})
    yield from (_Write(_MANIFEST_PULLED, (pk,)) for pk in {event.manifest for event in events if event.is_get})


def _run_all(batch: list[_Write]) -> None:
    for write in batch:
        write.statement.run(*write.parameters)
