"""Base class of a section's target table, and the fingerprint of its entries and rows."""

import hashlib
import json
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


def fingerprint(content: object) -> str:
    """Return the SHA-256 of `content` as canonical JSON, in hexadecimal."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield `items` in slices that fit into one statement."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


class Target(ABC, Generic[Entry, Row]):
    """Name, compare and write the entries of a section."""

    section: Section
    entries: Mapping[str, Entry]
    """By key; different content under the same key is a changed entry."""

    @abstractmethod
    def content(self, entry: Entry) -> object:
        """Return the content of the entry without its key, as JSON values."""

    @abstractmethod
    def rows(self, ids: Iterable[int]) -> Mapping[int, Row]:
        """Return the rows that still exist, by primary key."""

    @abstractmethod
    def row_content(self, row: Row) -> object:
        """Return the fields that an administrator can edit, as JSON values."""

    @abstractmethod
    def label(self, key: str, row: Row | None) -> str:
        """Return the display name of a record and its row, None when the row is gone."""

    @abstractmethod
    def entry_label(self, entry: Entry) -> str:
        """Return the display name of an entry."""

    def problems(self, pending: Sequence[tuple[str, Entry, ImportedEntry | None]]) -> list[Problem]:
        """Return why pending entries can't be written."""
        return []

    @abstractmethod
    def write(self, entries: Sequence[tuple[Entry, Row | None]]) -> list[Row]:
        """Write each entry into its row or a new one; return the rows in order."""

    def is_in_effect(self, row: Row) -> bool:
        """Tell whether the row still grants anything."""
        return True

    @abstractmethod
    def revoke(self, dropped: Sequence[tuple[ImportedEntry, Row | None]]) -> None:
        """Revoke what the entries granted that are no longer in the file, and update their records."""
