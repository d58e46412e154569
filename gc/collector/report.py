"""What a run removed: counts for each repository and for the whole registry."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from operator import itemgetter

from core.sizes import size_text
from distribution import deletion
from distribution.models import Repository

BATCH = 500


@dataclass(slots=True)
class Counts:
    """Rows removed, and bytes of blobs: freed by this run, or by a later one after their grace period."""

    manifests: int = 0
    links: int = 0
    blobs: int = 0
    freed_bytes: int = 0
    later_bytes: int = 0
    tags: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of `other`."""
        self.manifests += other.manifests
        self.links += other.links
        self.blobs += other.blobs
        self.freed_bytes += other.freed_bytes
        self.later_bytes += other.later_bytes
        self.tags += other.tags


@dataclass(slots=True)
class Report:
    """Counts by primary key of the repository, and counts of the registry.

    The bytes of a blob count for the repository whose link was removed last. `gone` maps removed repositories to
    their names.
    """

    repositories: dict[int, Counts] = field(default_factory=dict)
    uploads: int = 0
    objects: int = 0
    busy: int = 0
    failures: int = 0
    gone: dict[int, str] = field(default_factory=dict)

    def count(self, repository_id: int, counts: Counts) -> None:
        """Add `counts` to those of a repository."""
        self.repositories.setdefault(repository_id, Counts()).add(counts)

    @property
    def total(self) -> Counts:
        """The counts of all repositories together."""
        total = Counts()
        for counts in list(self.repositories.values()):
            total.add(counts)
        return total


def so_far(report: Report) -> str:
    """Return the progress of a run in one line."""
    total = report.total
    rows = f"{total.manifests} manifests, {total.links} links, {total.blobs} blobs"
    rows = f"{total.tags} tags, {rows}" if total.tags else rows
    return f"so far: {rows}, {size_text(total.freed_bytes)}"


def names_of(report: Report) -> dict[int, str]:
    """Return the names of the report's repositories by primary key."""
    names = dict(report.gone)
    pks = list(report.repositories.keys() - names.keys())
    for start in range(0, len(pks), BATCH):
        rows = Repository.objects.filter(pk__in=pks[start : start + BATCH])
        names |= {row.pk: deletion.original_name(row) for row in rows}
    return names


def table(report: Report, names: Mapping[int, str]) -> str:
    """Return the counts as a table: a line for each repository, then the total."""
    header = ("repository", "manifests", "links", "blobs", "freed", "after grace")
    named = sorted(((names.get(pk, f"#{pk}"), counts) for pk, counts in report.repositories.items()), key=itemgetter(0))
    lines = [header, *(_cells(name, counts) for name, counts in named), _cells("total", report.total)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rows = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    return "\n".join("  ".join(row) for row in rows)


def _cells(name: str, counts: Counts) -> tuple[str, ...]:
    rows = (counts.manifests, counts.links, counts.blobs)
    return (name, *map(str, rows), size_text(counts.freed_bytes), size_text(counts.later_bytes))


def json_value(report: Report, names: Mapping[int, str]) -> dict[str, object]:
    """Return the report as a JSON value."""
    rows = sorted(
        ((names.get(pk, f"#{pk}"), asdict(counts)) for pk, counts in report.repositories.items()), key=itemgetter(0)
    )
    return {
        "repositories": [{"repository": name} | counts for name, counts in rows],
        "total": asdict(report.total),
        "repositories_removed": sorted(report.gone.values()),
        **{name: getattr(report, name) for name in ("uploads", "objects", "busy", "failures")},
    }
