"""One thing that a run would remove, and why."""

from dataclasses import dataclass
from enum import StrEnum

from collector.report import Counts, Report


class Kind(StrEnum):
    """What a finding is about: a row that names its object by `name`."""

    MANIFEST = "manifest"
    LINK = "link"
    BLOB = "blob"
    UPLOAD = "upload"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that would go; `name` is a digest, a session id or a key, `size` the bytes of a blob."""

    kind: Kind
    name: str
    reason: str
    repository_id: int | None = None
    repository: str = ""
    size: int = 0

    @property
    def counts(self) -> Counts:
        """The finding as the counts of its repository."""
        return Counts(
            manifests=int(self.kind is Kind.MANIFEST),
            links=int(self.kind is Kind.LINK),
            blobs=int(self.kind is Kind.BLOB),
            freed_bytes=self.size if self.kind is Kind.BLOB else 0,
        )

    def add_to(self, report: Report) -> None:
        """Count the finding in `report`."""
        report.uploads += self.kind is Kind.UPLOAD
        report.objects += self.kind is Kind.OBJECT
        if self.repository_id is not None and self.counts != Counts():
            report.count(self.repository_id, self.counts)

    def __str__(self) -> str:
        """Describe the finding in one line."""
        place = f"{self.repository} " if self.repository else ""
        return f"{self.kind} {place}{self.name}: {self.reason}"
