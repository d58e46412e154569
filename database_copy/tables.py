"""The tables of all apps, and the Python values of their columns in SQLite."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import AutoField, BigAutoField, Field, Model, SmallAutoField


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _duration(microseconds: int) -> timedelta:
    return timedelta(microseconds=microseconds)


# What SQLite stores as another type. The rest is the same in both databases.
_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "BooleanField": bool,
    "DateTimeField": _utc,
    "DateField": date.fromisoformat,
    "DurationField": _duration,
    "JSONField": json.loads,
    "UUIDField": UUID,
}
# The permissions version, which the target's triggers replace with each account and rule that is copied.
_NOT_COPIED = "accounts_rightsepoch"
_TEXT = ("CharField", "TextField")


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `key` is its primary key; `numbered` means that a sequence gives out the keys."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    key: str
    numbered: bool

    def is_key_text(self) -> bool:
        """Return whether the databases may sort the keys differently."""
        return self.kinds[self.columns.index(self.key)] in _TEXT

    def converted(self, rows: Iterator[Sequence[Any]], *, is_json_parsed: bool) -> Iterator[list[Any]]:
        """Yield `rows` of SQLite as Python values; JSON stays text unless `is_json_parsed`."""
        converters = [
            (index, _CONVERTERS[kind])
            for index, kind in enumerate(self.kinds)
            if kind in _CONVERTERS and (is_json_parsed or kind != "JSONField")
        ]
        for row in rows:
            values = list(row)
            for index, convert in converters:
                if values[index] is not None:
                    values[index] = convert(values[index])
            yield values


def in_order() -> list[Table]:
    """Return the tables of all apps, each after those that it refers to."""
    models = {
        model._meta.db_table: model  # noqa: SLF001 - Django documents it
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model._meta.db_table != _NOT_COPIED  # noqa: SLF001
    }
    graph = {
        name: {
            field.related_model._meta.db_table  # noqa: SLF001 - as above
            for field in model._meta.concrete_fields  # noqa: SLF001 - as above
            if field.related_model is not None and field.related_model is not model
        }
        for name, model in models.items()
    }
    return [_table(models[name]) for name in TopologicalSorter(graph).static_order()]


def _table(model: type[Model]) -> Table:
    meta = model._meta  # noqa: SLF001 - as above
    fields = meta.concrete_fields
    return Table(
        name=meta.db_table,
        columns=tuple(str(field.column) for field in fields),
        kinds=tuple(_kind(field) for field in fields),
        key=str(meta.pk.column),
        numbered=isinstance(meta.pk, AutoField | BigAutoField | SmallAutoField),
    )


def _kind(field: "Field[Any, Any]") -> str:
    while field.is_relation:
        field = field.target_field  # type: ignore[attr-defined]  # a foreign key has it
    return field.get_internal_type()
