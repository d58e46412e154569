"""What one section of the configuration file becomes in the database."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from django.db.models import Model

from configuration.errors import Problem
from provisioning.models import ImportedEntry, Section

Entry = TypeVar("Entry")
Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")

# Rows in one statement: thousands of single ones take a minute, and SQLite's parameters are bounded.
BATCH = 200


def batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield `items` in pieces that one statement takes."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


class Target(ABC, Generic[Entry, Row]):
    """How entries of a section are named, compared and written."""

    section: Section
    entries: Mapping[str, Entry]
    """By their key; what differs under the same key is a changed entry."""

    @abstractmethod
    def content(self, entry: Entry) -> object:
        """Return what of the entry is not in its key, as JSON values."""

    @abstractmethod
    def rows(self, ids: Iterable[int]) -> Mapping[int, Row]:
        """Return those of the rows that still exist."""

    @abstractmethod
    def row_content(self, row: Row) -> object:
        """Return all that an administrator can edit, as JSON values."""

    @abstractmethod
    def label(self, key: str, row: Row | None) -> str:
        """Name the entry or row for a person."""

    @abstractmethod
    def entry_label(self, entry: Entry) -> str:
        """Name the entry for a person."""

    @abstractmethod
    def problems(self, pending: Sequence[tuple[str, Entry, ImportedEntry | None]]) -> list[Problem]:
        """Return why entries that are to be written can't be."""

    @abstractmethod
    def write(self, entries: Sequence[tuple[Entry, Row | None]]) -> list[Row]:
        """Write each entry into its row, a new one when there is none; return the rows in their order."""

    @abstractmethod
    def is_in_effect(self, row: Row) -> bool:
        """Tell whether there is something to end when the entry of `row` left the file."""

    @abstractmethod
    def end(self, left: Sequence[tuple[ImportedEntry, Row | None]]) -> None:
        """Take back what the entries of the records, which left the file, had allowed; remember that."""
