"""What one section of the configuration file becomes in the database."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from django.db.models import Model

from registry_project.configuration.errors import Problem
from registry_project.models import ImportedEntry, Section

Entry = TypeVar("Entry")
Row = TypeVar("Row", bound=Model)


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
    def write(self, entry: Entry, row: Row | None) -> Row:
        """Write the entry into its row, a new one when there is none; return it."""

    @abstractmethod
    def is_in_effect(self, row: Row) -> bool:
        """Tell whether there is something to end when the entry of `row` left the file."""

    @abstractmethod
    def end(self, record: ImportedEntry, row: Row | None) -> None:
        """Take back what the entry of `record`, which left the file, had allowed; remember that."""
