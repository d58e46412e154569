"""Compare one section of the file with the rows of its last import."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Generic

from configuration.errors import Problem
from provisioning.models import ImportedEntry
from provisioning.outcome import Change, Step
from provisioning.target import BATCH, Entry, Row, Target, fingerprint


class Comparison(Generic[Entry, Row]):
    """The difference between a section and its ledger, which is read once."""

    def __init__(self, target: Target[Entry, Row]) -> None:
        self._target = target
        records = ImportedEntry.objects.filter(section=target.section).order_by("pk")
        self._records = {record.key: record for record in records}

    def problems(self) -> list[Problem]:
        return self._target.problems([(key, entry, self._records.get(key)) for key, entry in self._pending])

    def steps(self) -> Iterator[Step]:
        """Yield the steps that `apply` takes."""
        for key, entry in self._pending:
            change = Change.ADDED if self._row_of(key) is None else Change.CHANGED
            yield Step(change, self._target.entry_label(entry))
        for record in self._dropped:
            row = self._rows.get(record.row_id)
            if row is not None and self._target.is_in_effect(row):
                yield Step(Change.REMOVED, self._target.label(record.key, row))

    def edited(self) -> Iterator[Step]:
        """Yield the rows that were edited or deleted after the import."""
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
        """Write pending entries within the caller's transaction; return the steps."""
        done = list(self.steps())
        rows = self._target.write([(entry, self._row_of(key)) for key, entry in self._pending])
        new, known = [], []
        for (key, entry), row in zip(self._pending, rows, strict=True):
            record = self._records.get(key)
            if record is None:
                record = ImportedEntry(section=self._target.section, key=key)
                new.append(record)
            else:
                known.append(record)
            record.fingerprint = fingerprint(self._target.content(entry))
            record.row_id, record.row_fingerprint = row.pk, self._row_fingerprint(row)
        ImportedEntry.objects.bulk_create(new)
        ImportedEntry.objects.bulk_update(known, ["fingerprint", "row_id", "row_fingerprint"], batch_size=BATCH)
        self._target.revoke([(record, self._rows.get(record.row_id)) for record in self._dropped])
        return done

    @cached_property
    def _pending(self) -> list[tuple[str, Entry]]:
        applied = {key: record.fingerprint for key, record in self._records.items()}
        entries = self._target.entries.items()
        return [(key, entry) for key, entry in entries if applied.get(key) != fingerprint(self._target.content(entry))]

    @cached_property
    def _dropped(self) -> list[ImportedEntry]:
        entries = self._target.entries
        return [record for key, record in self._records.items() if record.fingerprint and key not in entries]

    @cached_property
    def _rows(self) -> Mapping[int, Row]:
        """The rows to change: a reload changes few of thousands."""
        known = [self._records[key] for key, _ in self._pending if key in self._records]
        return self._target.rows([record.row_id for record in (*known, *self._dropped)])

    def _row_of(self, key: str) -> Row | None:
        record = self._records.get(key)
        return self._rows.get(record.row_id) if record is not None else None

    def _row_fingerprint(self, row: Row) -> str:
        return fingerprint(self._target.row_content(row))
