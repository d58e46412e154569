"""Go through the due rows of one table, oldest first, while the table changes under the walk."""

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
# SQLite compares times as text, to which ".123" is before ".123000": a batch starts a little before the
# last one ended, and what was met already is passed by.
OVERLAP = timedelta(milliseconds=1)

Removed = TypeVar("Removed")
Row = TypeVar("Row", bound=Model)


def by_pk(rows: QuerySet[Row], batch: int = BATCH) -> Iterator[Row]:
    """Yield `rows` by primary key, with no statement left open between batches.

    An open one would keep its snapshot of the database: on SQLite nothing could be written beside it.
    """
    rows, last = rows.order_by("pk"), None
    while found := list((rows if last is None else rows.filter(pk__gt=last))[:batch]):
        yield from found
        last = found[-1].pk


def by_age(rows: QuerySet[Any], moment: str) -> Iterator[list[Any]]:
    """Yield `rows` in pages, the oldest by the column `moment` first, with no statement left open between them."""
    # As the database writes it: SQLite compares times as text, in which one moment has several forms.
    rows = rows.annotate(written=Cast(moment, TextField())).order_by(moment, "pk")
    page = list(rows[:BATCH])
    while page:
        yield page
        last = Value(page[-1].written)
        rest = rows.filter(Q(**{f"{moment}__gt": last}) | Q(pk__gt=page[-1].pk), **{f"{moment}__gte": last})
        page = list(rest[:BATCH])


class BusyError(Exception):
    """Somebody else holds a row that is needed: nothing was changed, try later."""


class Walk(Generic[Removed]):
    """One run's way through `rows`, which are due in the order of the column `moment`.

    `remove` takes a primary key and looks at the row again: it removes it and returns what that was, or
    returns None when the row is not due after all. A row that fails is logged and counted, and the walk goes
    on; a StopError ends it. Memory is that of one batch and of the rows that were busy, failed or left, which are few.
    """

    def __init__(self, rows: QuerySet[Any], moment: str, remove: Callable[[Any], Removed | None]) -> None:
        """Walk over `rows`, a queryset of all that is due whenever it is asked."""
        self._rows = rows.order_by(moment, "pk")
        self._moment = moment
        self._remove = remove
        self.busy: set[Any] = set()
        self.failed: set[Any] = set()

    def go(self, pace: Throttle) -> Iterator[Removed]:
        """Visit each due row once and yield what was removed; rows once busy or failed are not visited."""
        seen = self.busy | self.failed
        for pk in self._due(seen):
            started_at = time.monotonic()
            removed = self._try(pk)
            if removed is None:
                seen.add(pk)
            else:
                yield removed
            pace.rest(started_at)

    def _due(self, seen: set[Any]) -> Iterator[Any]:
        """Yield the primary keys of due rows that are not in `seen`, to which the caller adds what stays."""
        rows = self._rows
        while True:
            batch = rows.values_list("pk", self._moment)[: BATCH + len(seen)]
            fresh = [(pk, moment) for pk, moment in batch if pk not in seen]
            if not fresh:
                return
            yield from (pk for pk, _ in fresh)
            rows = self._rows.filter(**{f"{self._moment}__gte": fresh[-1][1] - OVERLAP})

    def _try(self, pk: Any) -> Removed | None:
        try:
            return self._remove(pk)
        except StopError:
            raise
        except BusyError:
            self.busy.add(pk)
        except Exception:  # whatever is wrong with one row, the others are still to go
            logger.exception("a due row is broken", extra={"table": self._rows.model.__name__, "pk": str(pk)})
            self.failed.add(pk)
        return None
