"""The findings of a dry run, each with its reason; a bounded number of them is kept as rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from collector.models import Run, RunFinding, State
from collector.report import Counts, Report
from core.db import transactions
from distribution.models import remove
from policies.retention import decision

LISTED = 10_000
"""How many findings of one run are kept; all of them are counted."""

KEPT_RUNS = 10
"""How many dry runs keep their findings."""

BATCH = 500

_KEPT = ("kind", "repository", "name", "size", "reason", "row_id")


class Kind(StrEnum):
    """What a finding is about."""

    TAG = "tag"
    MANIFEST = "manifest"
    LINK = "link"
    BLOB = "blob"
    UPLOAD = "upload"
    OBJECT = "object"


class Reason(StrEnum):
    """The beginning of the sentence that says why a row is removed."""

    NOT_KEPT = decision.NOT_KEPT
    OF_GONE_IMAGE = decision.OF_GONE_IMAGE
    UNTAGGED = "no tag, index or subject keeps it"
    CHILD = "listed only by an index that is removed too"
    REFERRER = "its subject is removed too"
    UNUSED = "no manifest here uses it"
    RELEASED = "used only by manifests that are removed too"
    UNLINKED = "no repository links it any more"
    EXPIRED = "no activity since"
    IN_TRASH = "in the trash until"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row to be removed; `name` is a tag, a digest, a session id or an object's key, `size` the bytes of a blob.

    `row_id` is the primary key of a tag, manifest or link; a blob has that of its last link.
    """

    kind: Kind
    name: str
    reason: str
    repository_id: int | None = None
    repository: str = ""
    size: int = 0
    row_id: int | None = None

    def add_to(self, report: Report) -> None:
        """Count the finding in `report`."""
        report.uploads += self.kind is Kind.UPLOAD
        report.objects += self.kind is Kind.OBJECT
        counts = Counts(
            tags=int(self.kind is Kind.TAG),
            manifests=int(self.kind is Kind.MANIFEST),
            links=int(self.kind is Kind.LINK),
            blobs=int(self.kind is Kind.BLOB),
            freed_bytes=self.size if self.kind is Kind.BLOB else 0,
        )
        if self.repository_id is not None and counts != Counts():
            report.count(self.repository_id, counts)

    def __str__(self) -> str:
        """Describe the finding in one line."""
        place = f"{self.repository} " if self.repository else ""
        return f"{self.kind} {place}{self.name}: {self.reason}"


def keep(run: Run, findings: Iterable[Finding]) -> None:
    """Consume `findings` and keep the first LISTED as rows of `run`.

    They are written at the end: `findings` may have statements open until then.
    """
    rows: list[RunFinding] = []
    for finding in findings:
        if len(rows) < LISTED:
            values = {name: getattr(finding, name) for name in _KEPT}
            rows.append(RunFinding(run=run, **values))
    transactions.run(_replace, rows)


def _replace(rows: list[RunFinding]) -> None:
    """Insert `rows`, and remove the findings of all but the last KEPT_RUNS dry runs."""
    RunFinding.objects.bulk_create(rows, BATCH)
    done = Run.objects.filter(is_dry_run=True).exclude(state__in=[State.REQUESTED, State.WITHDRAWN])
    kept = done.values_list("pk", flat=True)[:KEPT_RUNS]
    remove(RunFinding.objects.exclude(run__in=list(kept)))
