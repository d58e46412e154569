"""What a run did: counts for each repository and for the whole registry."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from operator import itemgetter

from core.sizes import size_text
from distribution import deletion
from distribution.models import Repository

BATCH = 500


@dataclass(slots=True)
class Counts:
    """Rows removed, and bytes of blobs: freed by this run, or by a later one once their grace is over."""

    manifests: int = 0
    links: int = 0
    blobs: int = 0
    freed_bytes: int = 0
    later_bytes: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of `other`."""
        self.manifests += other.manifests
        self.links += other.links
        self.blobs += other.blobs
        self.freed_bytes += other.freed_bytes
        self.later_bytes += other.later_bytes


@dataclass(slots=True)
class Report:
    """Counts by primary key of the repository, and what belongs to none.

    The bytes of a blob count for the repository that let go of it last. `gone` has the names of repositories whose
    rows are removed.
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
    """Return in one line how far a run is."""
    total = report.total
    rows = f"{total.manifests} manifests, {total.links} links, {total.blobs} blobs"
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
    """Return the counts as a table: one line a repository by name, then the total."""
    header = ("repository", "manifests", "links", "blobs", "freed", "after grace")
    named = sorted(((names.get(pk, f"#{pk}"), counts) for pk, counts in report.repositories.items()), key=itemgetter(0))
    lines = [header, *(_cells(name, counts) for name, counts in named), _cells("total", report.total)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _cells(name: str, counts: Counts) -> tuple[str, ...]:
    rows = (counts.manifests, counts.links, counts.blobs)
    return (name, *map(str, rows), size_text(counts.freed_bytes), size_text(counts.later_bytes))


def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
    first, *rest = zip(line, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)])


def json_value(report: Report, names: Mapping[int, str]) -> dict[str, object]:
    """Return the report as JSON knows values."""
    rows = sorted(
        ((names.get(pk, f"#{pk}"), asdict(counts)) for pk, counts in report.repositories.items()), key=itemgetter(0)
    )
    return {
        "repositories": [{"repository": name} | counts for name, counts in rows],
        "total": asdict(report.total),
        "repositories_removed": sorted(report.gone.values()),
        **{name: getattr(report, name) for name in ("uploads", "objects", "busy", "failures")},
    }
