"""Keyset pagination over tables that change meanwhile, and removal of due rows in that order."""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from collector.throttle import StopError, Throttle

logger = logging.getLogger(__name__)

BATCH = 500
# SQLite compares times as text, where ".123" sorts before ".123000". So a batch starts a little before the end of
# the last one, and skips the rows it has seen.
OVERLAP = timedelta(milliseconds=1)

Removed = TypeVar("Removed")
Row = TypeVar("Row", bound=Model)


def by_pk(rows: QuerySet[Row], batch: int = BATCH) -> Iterator[Row]:
    """Yield `rows` by primary key, with no statement open between batches.

    An open statement keeps its snapshot, which on SQLite blocks all writers.
    """
    rows, last = rows.order_by("pk"), None
    while found := list((rows if last is None else rows.filter(pk__gt=last))[:batch]):
        yield from found
        last = found[-1].pk


def by_age(rows: QuerySet[Any], column: str) -> Iterator[list[Any]]:
    """Yield pages of `rows`, oldest `column` first, with no statement open between them."""
    # Compared as the database writes it: as text, SQLite has several forms of one time.
    rows = rows.annotate(written=Cast(column, TextField())).order_by(column, "pk")
    page = list(rows[:BATCH])
    while page:
        yield page
        last = Value(page[-1].written)
        rest = rows.filter(Q(**{f"{column}__gt": last}) | Q(pk__gt=page[-1].pk), **{f"{column}__gte": last})
        page = list(rest[:BATCH])


class BusyError(Exception):
    """Another transaction locks a row that is needed: nothing was changed, try again later."""


class DueRows(Generic[Removed]):
    """Rows to remove one by one, oldest `column` first.

    `remove` takes a primary key and checks the row again under its lock. It returns what it removed, or None if the
    row is no longer due. A failure is logged and counted; only StopError ends the iteration. Memory holds one batch,
    and the keys of rows that were busy, failed or not removed, which are few.
    """

    def __init__(self, rows: QuerySet[Any], column: str, remove: Callable[[Any], Removed | None]) -> None:
        """`rows` is a queryset of all due rows, evaluated batch by batch."""
        self._rows = rows.order_by(column, "pk")
        self._column = column
        self._remove = remove
        self.busy: set[Any] = set()
        self.failed: set[Any] = set()

    def remove_all(self, throttle: Throttle) -> Iterator[Removed]:
        """Visit each due row once and yield what was removed; busy and failed rows of before are skipped."""
        seen = self.busy | self.failed
        rows = self._rows
        while True:
            batch = rows.values_list("pk", self._column)[: BATCH + len(seen)]
            fresh = [(pk, at) for pk, at in batch if pk not in seen]
            if not fresh:
                return
            for pk, _ in fresh:
                started_at = time.monotonic()
                removed = self._try(pk)
                if removed is None:
                    seen.add(pk)
                else:
                    yield removed
                throttle.pause(started_at)
            rows = self._rows.filter(**{f"{self._column}__gte": fresh[-1][1] - OVERLAP})

    def _try(self, pk: Any) -> Removed | None:
        try:
            return self._remove(pk)
        except StopError:
            raise
        except BusyError:
            self.busy.add(pk)
        except Exception:  # one broken row must not keep the others
            logger.exception("a due row is broken", extra={"table": self._rows.model.__name__, "pk": str(pk)})
            self.failed.add(pk)
        return None
