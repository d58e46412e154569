"""One section of the file beside the rows that it was imported into."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Generic

from configuration.errors import Problem
from provisioning.models import ImportedEntry
from provisioning.outcome import Change, Step
from provisioning.target import BATCH, Entry, Row, Target, fingerprint


class Comparison(Generic[Entry, Row]):
    """What was imported from a section, read once; the rest follows from it."""

    def __init__(self, target: Target[Entry, Row]) -> None:
        self._target = target
        records = ImportedEntry.objects.filter(section=target.section).order_by("pk")
        self._records = {record.key: record for record in records}

    def problems(self) -> list[Problem]:
        """Return why the section can't be applied."""
        return self._target.problems([(key, entry, self._records.get(key)) for key, entry in self._pending])

    def steps(self) -> Iterator[Step]:
        """Yield what applying the section does."""
        for key, entry in self._pending:
            yield self._entry_step(key, entry)
        for record in self._dropped:
            yield from self._dropped_steps(record)

    def edited(self) -> Iterator[Step]:
        """Yield the rows that are not as the import left them."""
        rows = self._target.rows([record.row_id for record in self._records.values()])
        for key, record in self._records.items():
            row = rows.get(record.row_id)
            note = ""
            if row is None and record.fingerprint:
                note = "deleted since it was imported"
            elif row is not None and self._row_fingerprint(row) != record.row_fingerprint:
                note = "edited since it was imported"
            if note:
                yield Step(Change.EDITED, self._target.label(key, row), note)

    def apply(self) -> list[Step]:
        """Write what is not applied yet, inside the caller's transaction; return what was done."""
        done = list(self.steps())
        rows = self._target.write([(entry, self._row_of(key)) for key, entry in self._pending])
        self._record(rows)
        self._target.revoke([(record, self._rows.get(record.row_id)) for record in self._dropped])
        return done

    @cached_property
    def _pending(self) -> list[tuple[str, Entry]]:
        return [(key, entry) for key, entry in self._target.entries.items() if not self._is_applied(key, entry)]

    @cached_property
    def _dropped(self) -> list[ImportedEntry]:
        entries = self._target.entries
        return [record for key, record in self._records.items() if record.fingerprint and key not in entries]

    @cached_property
    def _rows(self) -> Mapping[int, Row]:
        """The rows that have to change: of a file of thousands of entries a reload touches few."""
        known = [self._records[key] for key, _ in self._pending if key in self._records]
        return self._target.rows([record.row_id for record in (*known, *self._dropped)])

    def _is_applied(self, key: str, entry: Entry) -> bool:
        record = self._records.get(key)
        return record is not None and record.fingerprint == fingerprint(self._target.content(entry))

    def _row_of(self, key: str) -> Row | None:
        record = self._records.get(key)
        return self._rows.get(record.row_id) if record is not None else None

    def _entry_step(self, key: str, entry: Entry) -> Step:
        change = Change.ADDED if self._row_of(key) is None else Change.CHANGED
        return Step(change, self._target.entry_label(entry))

    def _dropped_steps(self, record: ImportedEntry) -> Iterator[Step]:
        row = self._rows.get(record.row_id)
        if row is not None and self._target.is_in_effect(row):
            yield Step(Change.REMOVED, self._target.label(record.key, row))

    def _record(self, rows: Iterable[Row]) -> None:
        """Remember the entries that are written as applied, and their rows as the import left them."""
        records = [self._applied(key, entry, row) for (key, entry), row in zip(self._pending, rows, strict=True)]
        new = [record for record in records if record.key not in self._records]
        ImportedEntry.objects.bulk_create(new)
        known = [record for record in records if record.key in self._records]
        ImportedEntry.objects.bulk_update(known, ["fingerprint", "row_id", "row_fingerprint"], batch_size=BATCH)

    def _applied(self, key: str, entry: Entry, row: Row) -> ImportedEntry:
        record = self._records.get(key) or ImportedEntry(section=self._target.section, key=key)
        record.fingerprint = fingerprint(self._target.content(entry))
        record.row_id, record.row_fingerprint = row.pk, self._row_fingerprint(row)
        return record

    def _row_fingerprint(self, row: Row) -> str:
        return fingerprint(self._target.row_content(row))
