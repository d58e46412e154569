"""A dry run as a plan: its findings, some of them excluded, are what a later run may remove.

Safety never depends on it: the run that applies a plan checks each row again, as every run does.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q, QuerySet

from collector.dry_run.forecast import referenced_by
from collector.dry_run.results import Kind
from collector.models import Run, RunFinding, State
from collector.policy import BATCH, Policy
from core.db import transactions
from distribution.models import ManifestBlob

EXCLUDABLE = (Kind.MANIFEST, Kind.LINK, Kind.BLOB)
"""Expired uploads and the trash are removed by the jobs of each minute, whatever a plan says."""


def planned(policy: Policy, kind: Kind) -> Q:
    """Return the condition on rows of `kind` that the policy's plan lists and does not exclude; none without a plan."""
    if policy.plan is None:
        return Q()
    rows = RunFinding.objects.filter(run=policy.plan, kind=kind, is_excluded=False, row_id__isnull=False)
    return Q(pk__in=rows.values("row_id"))


def is_applicable(run: Run) -> bool:
    """Tell whether `run` is a complete dry run whose findings are kept."""
    return run.is_dry_run and run.state == State.DONE and run.findings.filter(kind__in=EXCLUDABLE).exists()


def application_of(run: Run) -> Run:
    """Return a new run that applies the plan `run`, not saved."""
    policy = {name: getattr(run, name) for name in ("grace_period", "remove_untagged", "repository")}
    return Run(plan=run, is_dry_run=False, **policy)


def exclude(run: Run, findings: QuerySet[RunFinding]) -> int:
    """Exclude `findings` with everything that then stays referenced; return how many were excluded in all."""
    return int(transactions.run(_exclude, run, findings))


def include(run: Run, findings: QuerySet[RunFinding]) -> int:
    """Include `findings` again, unless another excluded one needs them; return how many are included."""
    return int(transactions.run(_include, run, findings))


def _exclude(run: Run, findings: QuerySet[RunFinding]) -> int:
    before = _excluded(run).count()
    _mark(run, findings.filter(run=run, kind__in=EXCLUDABLE), is_excluded=True)
    _complete(run)
    return _excluded(run).count() - before


def _include(run: Run, findings: QuerySet[RunFinding]) -> int:
    before = _excluded(run).count()
    _mark(run, findings.filter(run=run, is_excluded=True), is_excluded=False)
    _complete(run)
    return before - _excluded(run).count()


def _mark(run: Run, findings: QuerySet[RunFinding], *, is_excluded: bool) -> None:
    # A blob has the primary key of its last link: the two are one decision.
    blobs = list(findings.filter(kind=Kind.BLOB).values_list("row_id", flat=True))
    for pks in _batches(findings.values_list("pk", flat=True)):
        run.findings.filter(pk__in=pks).update(is_excluded=is_excluded)
    for links in _batches(blobs):
        run.findings.filter(kind=Kind.LINK, row_id__in=links).update(is_excluded=is_excluded)


def _complete(run: Run) -> None:
    """Exclude what excluded findings keep: children, referrers and links of manifests, the blob of a link."""
    kept = set(_excluded(run).filter(kind=Kind.MANIFEST).values_list("row_id", flat=True))
    pending = set(kept)
    while pending:
        found = {pk for pks in _batches(pending) for pk in referenced_by(pks)} - kept
        rows = run.findings.filter(kind=Kind.MANIFEST)
        pending = {pk for pks in _batches(found) for pk in rows.filter(row_id__in=pks).values_list("row_id", flat=True)}
        kept |= pending
    for pks in _batches(kept):
        run.findings.filter(kind=Kind.MANIFEST, row_id__in=pks).update(is_excluded=True)
        links = ManifestBlob.objects.filter(manifest__in=pks).values_list("link_id", flat=True)
        for some in _batches(set(links)):
            run.findings.filter(kind=Kind.LINK, row_id__in=some).update(is_excluded=True)
    digests = _excluded(run).filter(kind=Kind.LINK).values_list("name", flat=True)
    for names in _batches(set(digests)):
        run.findings.filter(kind=Kind.BLOB, name__in=names).update(is_excluded=True)


def _excluded(run: Run) -> QuerySet[RunFinding]:
    return run.findings.filter(is_excluded=True)


def _batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    rows = list(values)
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
