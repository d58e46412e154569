"""What dry runs of the admin found: rows to look at, a bounded number of a bounded number of runs."""

from collections.abc import Iterable

from collector.dry_run.results import Finding
from collector.models import Run, RunFinding, State
from core.db import transactions
from distribution.models import remove

LISTED = 10_000
"""How many findings of one run are kept; all of them are counted."""

KEPT_RUNS = 10
"""How many dry runs keep their findings."""

BATCH = 500


def keep(run: Run, findings: Iterable[Finding]) -> None:
    """Go through `findings` and keep the first of them as rows of `run`, written once all are found.

    Nothing is written before: it would be while their own statements are open.
    """
    rows: list[RunFinding] = []
    for finding in findings:
        if len(rows) < LISTED:
            rows.append(_row(run, finding))
    transactions.run(_replace, rows)


def _replace(rows: list[RunFinding]) -> None:
    """Insert `rows`, and remove those of runs that are beyond KEPT_RUNS."""
    RunFinding.objects.bulk_create(rows, BATCH)
    done = Run.objects.filter(is_dry_run=True).exclude(state__in=[State.REQUESTED, State.WITHDRAWN])
    kept = done.values_list("pk", flat=True)[:KEPT_RUNS]
    remove(RunFinding.objects.exclude(run__in=list(kept)))


def unlisted(run: Run) -> int:
    """Return how many findings of the run were counted and not kept."""
    found = run.manifests + run.links + run.blobs + run.uploads + run.objects_deleted
    return found - run.findings.count()


def _row(run: Run, finding: Finding) -> RunFinding:
    return RunFinding(
        run=run,
        kind=finding.kind,
        repository=finding.repository,
        name=finding.name,
        size=finding.size,
        reason=finding.reason,
    )
