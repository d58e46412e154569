"""One section of the file beside the rows that it was imported into."""

from collections.abc import Iterator
from typing import Generic

from registry_project.configuration.errors import Problem
from registry_project.importing.fingerprint import fingerprint
from registry_project.importing.outcome import Change, Step
from registry_project.importing.target import Entry, Row, Target
from registry_project.models import ImportedEntry


class Comparison(Generic[Entry, Row]):
    """What was imported from a section, read once; the rest follows from it."""

    def __init__(self, target: Target[Entry, Row]) -> None:
        """Read the records of the section and the rows that they stand for."""
        self._target = target
        records = ImportedEntry.objects.filter(section=target.section).order_by("pk")
        self._records = {record.key: record for record in records}
        self._rows = target.rows([record.row_id for record in self._records.values()])

    def problems(self) -> list[Problem]:
        """Return why the section can't be applied."""
        return self._target.problems([(key, entry, self._records.get(key)) for key, entry in self._pending()])

    def steps(self) -> Iterator[Step]:
        """Yield what applying the section does."""
        for key, entry in self._pending():
            yield self._entry_step(key, entry)
        for record in self._left():
            yield from self._left_steps(record)

    def edited(self) -> Iterator[Step]:
        """Yield the rows that are not as the import left them."""
        for key, record in self._records.items():
            row = self._rows.get(record.row_id)
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
        for key, entry in self._pending():
            self._write(key, entry)
        for record in self._left():
            self._target.end(record, self._rows.get(record.row_id))
        return done

    def _pending(self) -> list[tuple[str, Entry]]:
        return [(key, entry) for key, entry in self._target.entries.items() if not self._is_applied(key, entry)]

    def _is_applied(self, key: str, entry: Entry) -> bool:
        record = self._records.get(key)
        return record is not None and record.fingerprint == fingerprint(self._target.content(entry))

    def _left(self) -> list[ImportedEntry]:
        entries = self._target.entries
        return [record for key, record in self._records.items() if record.fingerprint and key not in entries]

    def _row_of(self, key: str) -> Row | None:
        record = self._records.get(key)
        return self._rows.get(record.row_id) if record is not None else None

    def _entry_step(self, key: str, entry: Entry) -> Step:
        change = Change.ADDED if self._row_of(key) is None else Change.CHANGED
        return Step(change, self._target.entry_label(entry))

    def _left_steps(self, record: ImportedEntry) -> Iterator[Step]:
        row = self._rows.get(record.row_id)
        if row is not None and self._target.is_in_effect(row):
            yield Step(Change.REMOVED, self._target.label(record.key, row))

    def _write(self, key: str, entry: Entry) -> None:
        row = self._target.write(entry, self._row_of(key))
        ImportedEntry.objects.update_or_create(
            section=self._target.section,
            key=key,
            defaults={
                "fingerprint": fingerprint(self._target.content(entry)),
                "row_id": row.pk,
                "row_fingerprint": self._row_fingerprint(row),
            },
        )

    def _row_fingerprint(self, row: Row) -> str:
        return fingerprint(self._target.row_content(row))
