"""Compute what a sweep would remove now, and why, without a lock and without a change.

A sweep releases the references of a removed manifest as of that manifest's own `last_used_at`, which is before the
threshold too. So the result does not depend on the order: a row is removed when it is unused since before the threshold
and everything that references it is removed. A row with a wrong `is_unreferenced` is kept by both: no sweep visits it.

All references to a manifest are in its repository, so `keeps_untagged` is read only where the traversal starts.
"""

from bisect import bisect
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from collector.batches import BATCH
from collector.dry_run.pk_set import PkSet
from collector.dry_run.pk_times import PkTimes, microseconds
from collector.dry_run.results import Finding, Kind, Reason
from collector.policy import ManifestScope, Policy, keeps_untagged
from collector.throttle import Throttle
from distribution import deletion
from distribution.models import Link, Manifest, ManifestBlob, ManifestChild, Tag

_USED_BY_TAGGED = Exists(ManifestBlob.objects.filter(link=OuterRef("pk"), manifest__tags__isnull=False))
_SUBJECT = Manifest.objects.filter(repository=OuterRef("repository"), digest=OuterRef("subject"))

_RemovalOrder = tuple[bool, int, int, int]


class Forecast:
    """What a run under `policy` would remove that is unused since before `due_before`."""

    def __init__(
        self, policy: Policy, due_before: datetime, throttle: Throttle | None = None, previous: datetime | None = None
    ) -> None:
        """Take what is due; a sweep of rows due before `previous` comes first, unless it is None.

        `throttle` is checked after each batch, with no statement open: on SQLite an open one would block all writers,
        the heartbeat of the lease too.
        """
        self._policy = policy
        self._due_before = due_before
        self._throttle = throttle or Throttle()
        self._previous = 0 if previous is None else microseconds(previous)
        self._manifests = PkSet()
        self._links = PkSet()
        self._checked_links = PkSet()
        self._manifest_times = PkTimes()
        self._link_times = PkTimes()
        self._scopes = [pks[0] for pks in policy.batches()]

    def find(self) -> Iterator[Finding]:
        """Yield manifests, then links and blobs; within a kind a row comes after those that reference it.

        Raises StopError when `throttle` does.
        """
        scopes = list(self._policy.manifest_scopes())
        unkept = Manifest.objects.exclude(keeps_untagged()) if scopes else Manifest.objects.none()
        for scope in scopes:
            yield from self._find_manifests(unkept.filter(scope.members), scope)
        for pks in self._batches(self._due(Link.objects.all(), self._policy.scopes())):
            self._check_links(pks)
        for pks in self._batches(self._manifests):
            for links in self._batches(ManifestBlob.objects.filter(manifest__in=pks).values_list("link_id", flat=True)):
                self._check_links([pk for pk in links if pk not in self._checked_links])
        yield from self._find_links()

    def _find_manifests(self, rows: QuerySet[Manifest], scope: ManifestScope) -> Iterator[Finding]:
        for pks in self._batches(self._due(rows, [scope.repositories])):
            pending = deque(pks)
            while pending:
                batch = [pending.popleft() for _ in range(min(BATCH, len(pending)))]
                removed = list(self._check_manifests(batch, scope.members))
                pending.extend(referenced_by([row.pk for row, _ in removed]))
                self._throttle.check()
                for row, reason in removed:
                    yield Finding(
                        Kind.MANIFEST, row.digest, reason, row.repository_id, row.repository.name, row_id=row.pk
                    )

    def _due(self, rows: QuerySet[Any], scopes: Iterable[Q]) -> PkSet:
        """Return the primary keys of unreferenced rows that are due, read in one statement."""
        found = PkSet()
        for scope in scopes:
            due = deletion.in_sight(rows).filter(scope, is_unreferenced=True, last_used_at__lt=self._due_before)
            for pk in due.values_list("pk", flat=True).iterator(BATCH):
                found.add(pk)
        return found

    def _batches(self, pks: Iterable[int]) -> Iterator[list[int]]:
        iterator = iter(pks)
        while batch := list(islice(iterator, BATCH)):
            yield batch
            self._throttle.check()

    def _check_manifests(self, pks: list[int], members: Q) -> Iterator[tuple[Manifest, str]]:
        """Record which of `pks` a run removes, all of them `members` of its scope, and yield them with the reason."""
        kept, parents = self._parents(pks)
        # A query of its own: in a join, PostgreSQL reads every tag.
        kept |= set(Tag.objects.filter(manifest__in=pks).values_list("manifest_id", flat=True))
        rows = Manifest.objects.filter(members, pk__in=pks, last_used_at__lt=self._due_before)
        rows = rows.order_by("last_used_at", "pk")
        rows = rows.annotate(subject_pk=Subquery(_SUBJECT.values("pk"))).select_related("repository")
        for row in rows.only("digest", "subject", "last_used_at", "repository__name"):
            is_referrer = row.subject_pk is not None
            if row.pk in self._manifests or row.pk in kept or (is_referrer and row.subject_pk not in self._manifests):
                continue
            self._manifests.add(row.pk)
            parent_time, parent = parents.get(row.pk, (0, None))
            subject_time = self._manifest_times[row.subject_pk] if is_referrer else 0
            self._manifest_times.put(row.pk, max(microseconds(row.last_used_at), parent_time, subject_time))
            yield row, _reason(row, parent, row.subject if is_referrer else None)

    def _parents(self, pks: list[int]) -> tuple[set[int], dict[int, tuple[int, str]]]:
        """Return which of `pks` an index keeps; for the others, time and digest of the index removed last."""
        kept: set[int] = set()
        parents: dict[int, tuple[int, str]] = {}
        rows = ManifestChild.objects.filter(child__in=pks).values_list("child_id", "parent_id", "parent__digest")
        for child, parent, digest in rows.iterator(BATCH):
            if parent in self._manifests:
                parents[child] = max(parents.get(child, (0, "")), (self._manifest_times[parent], digest))
            else:
                kept.add(child)
        return kept, parents

    def _check_links(self, pks: list[int]) -> None:
        """Record which of the links `pks` a run removes."""
        # One tagged manifest keeps a link: no need to read all the manifests that use a common base layer.
        kept = set(Link.objects.filter(_USED_BY_TAGGED, pk__in=pks).values_list("pk", flat=True))
        undecided = [pk for pk in pks if pk not in kept]
        uses = ManifestBlob.objects.filter(link__in=undecided).values_list("link_id", "manifest_id")
        times: dict[int, int] = {}
        for link, manifest in uses.iterator(BATCH):
            times[link] = max(times.get(link, 0), self._manifest_times[manifest])
            if manifest not in self._manifests:
                kept.add(link)
        due = Link.objects.filter(pk__in=pks, last_used_at__lt=self._due_before).values_list("pk", "last_used_at")
        for pk, last_used_at in due:
            if pk not in kept:
                self._links.add(pk)
                self._link_times.put(pk, max(microseconds(last_used_at), times.get(pk, 0)))
        for pk in pks:
            self._checked_links.add(pk)

    def _find_links(self) -> Iterator[Finding]:
        for pks in self._batches(self._links):
            rows = list(Link.objects.filter(pk__in=pks).select_related("blob", "repository").order_by("pk"))
            last_links = self._last_links({row.blob_id for row in rows})
            for row in rows:
                unused = f"{Reason.UNUSED}; unused since {row.last_used_at:%Y-%m-%d %H:%M:%S} UTC"
                reason = unused if row.is_unreferenced else Reason.RELEASED
                here = (row.repository_id, row.repository.name)
                yield Finding(Kind.LINK, row.blob.digest, reason, *here, row_id=row.pk)
                if last_links.get(row.blob_id) == row.pk:
                    yield Finding(Kind.BLOB, row.blob.digest, Reason.UNLINKED, *here, row.blob.size, row.pk)

    def _last_links(self, blob_pks: set[int]) -> dict[int, int]:
        """Return, for each blob that loses all its links, the link that is removed last."""
        kept: set[int] = set()
        last: dict[int, _RemovalOrder] = {}
        rows = Link.objects.filter(blob__in=blob_pks).values_list("blob_id", "repository_id", "pk")
        for blob, repository, link in rows.iterator(BATCH):
            time = self._link_times[link]
            order = (time >= self._previous, bisect(self._scopes, repository), time, link)
            last[blob] = max(last.get(blob, order), order)
            if link not in self._links:
                kept.add(blob)
        return {blob: link for blob, (*_, link) in last.items() if blob not in kept}


def referenced_by(pks: list[int]) -> list[int]:
    """Return the children and referrers of manifests."""
    found = list(ManifestChild.objects.filter(parent__in=pks).values_list("child_id", flat=True))
    digests: dict[int, list[str]] = {}
    for repository, digest in Manifest.objects.filter(pk__in=pks).values_list("repository_id", "digest"):
        digests.setdefault(repository, []).append(digest)
    for repository, subjects in digests.items():
        found += Manifest.objects.filter(repository=repository, subject__in=subjects).values_list("pk", flat=True)
    return found


def _reason(row: Manifest, parent: str | None, subject: str | None) -> str:
    if parent is not None:
        return f"{Reason.CHILD}, {parent}"
    if subject is not None:
        return f"{Reason.REFERRER}, {subject}"
    return f"{Reason.UNTAGGED}; unused since {row.last_used_at:%Y-%m-%d %H:%M:%S} UTC"
