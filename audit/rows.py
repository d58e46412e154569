"""Write events into the table: many in one statement."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connection

from audit.models import Event, time_of

_COLUMNS = (
    *("id", "at", "count", "kind", "account", "address", "credential"),
    *("repository", "reference", "digest", "detail", "request_id"),
)
_INSERT = f"INSERT INTO audit_event ({', '.join(_COLUMNS)}) VALUES "  # noqa: S608 - constants
# The same event again has counted more meanwhile, or its COMMIT was not acknowledged. Another event, of a process that
# drew the same number, is left alone.
_IS_SAME = " AND ".join(f"audit_event.{name} = excluded.{name}" for name in _COLUMNS[3:])
_AGAIN = f" ON CONFLICT (id) DO UPDATE SET count = excluded.count WHERE {_IS_SAME} RETURNING id"
_ROW = f"({', '.join(['%s'] * len(_COLUMNS))})"

MAX_DETAIL = 2000
# The lengths of the columns, which PostgreSQL checks.
_FIELDS = {field.name: field for field in Event._meta.concrete_fields}  # noqa: SLF001 - Django documents it
_LIMITS = tuple(_FIELDS[name].max_length or MAX_DETAIL for name in _COLUMNS[3:])


class Values(NamedTuple):
    """The text columns of an event."""

    kind: str
    account: str = ""
    address: str = ""
    credential: str = ""
    repository: str = ""
    reference: str = ""
    digest: str = ""
    detail: str = ""
    request_id: str = ""

    def summed_up(self, *, with_address: bool) -> "Values":
        """Return the values of an event that stands for different ones."""
        return Values(self.kind, address=self.address if with_address else "")


def insert(events: Iterable[tuple[int, Values, int]]) -> set[int]:
    """Insert events of key, values and count in one statement, in the transaction of the caller.

    An event that exists gets the new count. Return the keys that another event has: theirs are not inserted.
    Raises django.db.Error.
    """
    parameters: list[Any] = []
    keys: set[int] = set()
    for key, values, count in events:
        keys.add(key)
        at = connection.ops.adapt_datetimefield_value(time_of(key))
        parameters += (key, at, count, *map(_fitting, values, _LIMITS))
    rows = ", ".join([_ROW] * (len(parameters) // len(_COLUMNS)))
    with connection.cursor() as cursor:
        cursor.execute(_INSERT + rows + _AGAIN, parameters)
        return keys - {key for (key,) in cursor.fetchall()}


def _fitting(text: str, limit: int) -> str:
    """Return what PostgreSQL stores: no NUL, no half of a surrogate pair, not more than the column takes."""
    if not text.isprintable():
        text = text.replace("\0", "").encode("utf-8", "replace").decode()
    return text[:limit]
