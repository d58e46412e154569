"""Compare one section of the file with the rows of its last import, and write the difference."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from configuration.errors import Problem
from provisioning.models import ImportedEntry, Section
from provisioning.outcome import Change, Step

Entry = TypeVar("Entry")
Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")

# Rows in one statement: thousands of single ones take a minute, and SQLite's parameters are bounded.
BATCH = 200


def fingerprint(content: object) -> str:
    """Return the SHA-256 of `content` as canonical JSON, in hexadecimal."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield `items` in slices that fit into one statement."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def set_columns(row: Model, names: Iterable[str], values: Mapping[str, object]) -> None:
    """Set the columns of a row; those without a value get their defaults."""
    for name in names:
        default = row._meta.get_field(name).get_default()  # type: ignore[union-attr]  # noqa: SLF001 - no relation
        setattr(row, name, values.get(name, default))


def refusal_of(row: Model) -> str:
    """Return why the form of the admin would refuse the row, "" if it would take it."""
    try:
        row.clean_fields()
        row.clean()
    except ValidationError as error:
        return f"one that is refused ({' '.join(error.messages)})"
    return ""


class SectionImport(ABC, Generic[Entry, Row]):
    """The difference between a section and its ledger; each subclass knows the rows of its section."""

    section: Section
    rows: QuerySet[Row]
    fields: Sequence[str]
    """The fields that `filled` sets."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Read the ledger, and the rows to change: a reload changes few of thousands.

        An entry whose key is in the ledger with another fingerprint is a changed entry.
        """
        self._entries = entries
        records = ImportedEntry.objects.filter(section=self.section).order_by("pk")
        self._records = {record.key: record for record in records}
        applied = {key: record.fingerprint for key, record in self._records.items()}
        self._pending = {
            key: entry for key, entry in entries.items() if applied.get(key) != fingerprint(self.content(entry))
        }
        self._dropped = [record for key, record in self._records.items() if record.fingerprint and key not in entries]
        known = [self._records[key] for key in self._pending if key in self._records]
        rows = self.rows.in_bulk([record.row_id for record in (*known, *self._dropped)])
        self._row_of = {record.key: rows.get(record.row_id) for record in (*known, *self._dropped)}

    @abstractmethod
    def content(self, entry: Entry) -> object:
        """Return the content of the entry without its key, as JSON values."""

    @abstractmethod
    def row_content(self, row: Row) -> object:
        """Return the fields that an administrator can edit, as JSON values."""

    @abstractmethod
    def label(self, key: str, row: Row | None) -> str:
        """Return the display name of an entry and its row; None means that the row was deleted."""

    @abstractmethod
    def filled(self, row: Row | None, entry: Entry) -> Row:
        """Return the row, a new one for None, with the values of the entry; it is not saved."""

    def revoke(self, dropped: Sequence[tuple[ImportedEntry, Row | None]]) -> None:
        """Revoke what the entries granted that are no longer in the file: delete the rows with their records."""
        for some in batches(dropped):
            self.rows.filter(pk__in=[row.pk for _, row in some if row is not None]).delete()
            ImportedEntry.objects.filter(pk__in=[record.pk for record, _ in some]).delete()

    def keyed(
        self, entries: Iterable[Entry], names_of: Callable[[Entry], Sequence[str]]
    ) -> Iterator[tuple[str, Entry]]:
        """Yield each entry with its key: its names, and a number among entries alike in them.

        An unchanged entry keeps its number. With numbers by position, the removal of an entry would change the next
        one, and overwrite edits of the admin.
        """
        # Numbers of the imported entries, by names, then by fingerprint.
        known: dict[tuple[str, ...], dict[str, int]] = {}
        for key, digest in ImportedEntry.objects.filter(section=self.section).values_list("key", "fingerprint"):
            *names, number = json.loads(key)
            known.setdefault(tuple(names), {})[digest] = number
        alike: dict[tuple[str, ...], list[Entry]] = {}
        for entry in entries:
            alike.setdefault(tuple(names_of(entry)), []).append(entry)
        for names_alike, group in alike.items():
            numbers = known.get(names_alike, {})
            digests = {entry: fingerprint(self.content(entry)) for entry in group}
            kept = {entry: numbers[digest] for entry, digest in digests.items() if digest in numbers}
            free = (number for number in count() if number not in kept.values())
            for entry in group:
                number = kept[entry] if entry in kept else next(free)
                yield json.dumps([*names_alike, number], ensure_ascii=False), entry

    def is_in_effect(self, row: Row) -> bool:
        """Tell whether the row still grants anything."""
        return True

    def problems(self) -> list[Problem]:
        """Return why pending entries can't be written."""
        return []

    def taken(self, column: str) -> set[str]:
        """Return the keys of pending entries whose value of `column` is that of a row made in the admin."""
        ids: dict[str, int] = {}
        rows = self.rows.prefetch_related(None)
        for some in batches(list(self._pending)):
            ids |= dict(rows.filter(**{f"{column}__in": some}).values_list(column, "pk"))
        own = {key: record.row_id for key, record in self._records.items()}
        return {key for key, pk in ids.items() if own.get(key) != pk}

    def write(self, entries: Sequence[tuple[Row | None, Entry]]) -> list[Row]:
        """Write each entry into its row or a new one; return the rows in order."""
        rows = [self.filled(row, entry) for row, entry in entries]
        new = [row for row, (known, _) in zip(rows, entries, strict=True) if known is None]
        changed = [row for row, _ in entries if row is not None]
        self.rows.bulk_create(new, batch_size=BATCH)
        self.rows.bulk_update(changed, self.fields, batch_size=BATCH)
        return rows

    def steps(self) -> Iterator[Step]:
        """Yield the steps that `apply` takes."""
        for key, entry in self._pending.items():
            change = Change.ADDED if self._row_of.get(key) is None else Change.CHANGED
            yield Step(change, self.label(key, self.filled(None, entry)))
        for record in self._dropped:
            row = self._row_of[record.key]
            if row is not None and self.is_in_effect(row):
                yield Step(Change.REMOVED, self.label(record.key, row))

    def edited(self) -> Iterator[Step]:
        """Yield the rows that were edited or deleted after the import."""
        rows = self.rows.in_bulk([record.row_id for record in self._records.values()])
        for key, record in self._records.items():
            row = rows.get(record.row_id)
            note = ""
            if row is None and record.fingerprint:
                note = "deleted since it was imported"
            elif row is not None and fingerprint(self.row_content(row)) != record.row_fingerprint:
                note = "edited since it was imported"
            if note:
                yield Step(Change.EDITED, self.label(key, row), note)

    def apply(self) -> list[Step]:
        """Write pending entries within the caller's transaction; return the steps."""
        done = list(self.steps())
        self._import(self._pending, self._row_of)
        self.revoke([(record, self._row_of[record.key]) for record in self._dropped])
        return done

    def restore(self, pks: Collection[int]) -> list[int]:
        """Write the entries of these rows again, within the caller's transaction; return the keys of the rows.

        A row is left whose entry is not the one that was imported last.
        """
        of_rows = {record.row_id: record for record in self._records.values() if record.fingerprint}
        rows = {of_rows[pk].key: row for pk, row in self.rows.in_bulk(list(pks)).items() if pk in of_rows}
        chosen = {
            key: self._entries[key]
            for key in rows
            if key in self._entries and self._records[key].fingerprint == fingerprint(self.content(self._entries[key]))
        }
        self._import(chosen, rows)
        return sorted(rows[key].pk for key in chosen)

    def _import(self, entries: Mapping[str, Entry], known_rows: Mapping[str, Row | None]) -> None:
        """Write `entries` into their rows or new ones, and record them."""
        rows = self.write([(known_rows.get(key), entry) for key, entry in entries.items()])
        new, known = [], []
        for (key, entry), row in zip(entries.items(), rows, strict=True):
            record = self._records.get(key)
            if record is None:
                record = ImportedEntry(section=self.section, key=key)
                new.append(record)
            else:
                known.append(record)
            record.fingerprint = fingerprint(self.content(entry))
            record.row_id, record.row_fingerprint = row.pk, fingerprint(self.row_content(row))
        ImportedEntry.objects.bulk_create(new)
        ImportedEntry.objects.bulk_update(known, ["fingerprint", "row_id", "row_fingerprint"], batch_size=BATCH)
