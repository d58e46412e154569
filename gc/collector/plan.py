"""A plan: the findings of a dry run, some excluded, that a later run may remove.

Safety never depends on it: the run that applies a plan checks each row again, as every run does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from collector.dry_run.forecast import referenced_by
from collector.dry_run.results import Kind
from collector.models import Run, RunFinding, State
from collector.policy import BATCH, Policy
from core.db import transactions
from core.sizes import counted, size_text
from distribution.models import ManifestBlob

EXCLUDABLE = (Kind.TAG, Kind.MANIFEST, Kind.LINK, Kind.BLOB)
"""Expired uploads and the trash are removed by the jobs of each minute, whatever a plan says."""


def planned(policy: Policy, kind: Kind) -> Q:
    """Return the condition on rows of `kind` that the policy's plan lists and does not exclude; none without a plan."""
    if policy.plan is None:
        return Q()
    rows = RunFinding.objects.filter(run=policy.plan, kind=kind, is_excluded=False, row_id__isnull=False)
    return Q(pk__in=rows.values("row_id"))


def why_not_applicable(run: Run) -> str:
    """Return why `run` can't be applied as a plan, "" if it can."""
    if not run.is_dry_run:
        return "Only a dry run is a plan."
    if run.state != State.DONE:
        return "The dry run is not complete."
    if not run.findings.filter(kind__in=EXCLUDABLE).exists():
        return "The dry run has no findings that a run could remove, or they are no longer kept."
    return ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a plan removes and keeps: findings by kind, and bytes of blobs; `unlisted` were found and not kept."""

    removed: dict[str, int]
    excluded: dict[str, int]
    freed_bytes: int
    excluded_bytes: int
    unlisted: int

    @classmethod
    def of(cls, run: Run) -> Summary:
        """Count the findings of `run`."""
        counts: dict[bool, dict[str, int]] = {False: {}, True: {}}
        sizes = {False: 0, True: 0}
        rows = run.findings.filter(kind__in=EXCLUDABLE).order_by().values("kind", "is_excluded")
        for row in rows.annotate(count=Count("pk"), size=Sum("size")):
            counts[row["is_excluded"]][row["kind"]] = row["count"]
            sizes[row["is_excluded"]] += row["size"] if row["kind"] == Kind.BLOB else 0
        found = run.tags + run.manifests + run.links + run.blobs
        listed = sum(counts[False].values()) + sum(counts[True].values())
        return cls(counts[False], counts[True], sizes[False], sizes[True], max(0, found - listed))

    @property
    def counts(self) -> str:
        """The numbers that a confirmation is for, as a string."""
        shown = [f"{counts.get(kind, 0)}" for counts in (self.removed, self.excluded) for kind in EXCLUDABLE]
        return " ".join([*shown, str(self.freed_bytes), str(self.unlisted)])

    @property
    def frees_nothing_yet(self) -> bool:
        """Whether the list was cut before its first blob: only a run after this one frees space."""
        return bool(self.unlisted) and Kind.BLOB not in self.removed and Kind.BLOB not in self.excluded

    @property
    def removal(self) -> str:
        """What is removed, as words: `2 manifests, 1 link and 1 blob of 3.0 KiB`."""
        return _words(self.removed, self.freed_bytes)

    @property
    def exclusion(self) -> str:
        """What is kept, as words; "" for nothing."""
        return _words(self.excluded, self.excluded_bytes) if self.excluded else ""


def _words(counts: dict[str, int], size: int) -> str:
    words = [counted(counts[kind], kind) for kind in EXCLUDABLE if kind in counts] or ["nothing"]
    if Kind.BLOB in counts:
        words[-1] += f" of {size_text(size)}"
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


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
