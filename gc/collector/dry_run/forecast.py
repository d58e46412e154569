"""Find what a sweep at this moment would remove, and why, without a lock and without a change.

A sweep lets go of what a removed manifest held as of that manifest's own `last_used_at`, which is before the cut
too. So what goes does not depend on the order: a row goes when it is unused since before the cut and all
that holds it goes. A held row that nothing holds any more is left by both, since no sweep comes past it.

What holds a manifest is in its repository: whether that keeps what is untagged is asked where marking begins.
"""

from bisect import bisect
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from collector.batches import BATCH
from collector.dry_run.pk_set import Bitmap
from collector.dry_run.pk_times import Moments, microseconds
from collector.dry_run.results import Finding, Kind
from collector.policy import KEEPS_UNTAGGED, Policy
from collector.throttle import Throttle
from distribution import deletion
from distribution.models import Link, Manifest, ManifestBlob, ManifestChild, Tag

_USED_BY_TAGGED = Exists(ManifestBlob.objects.filter(link=OuterRef("pk"), manifest__tags__isnull=False))
_SUBJECT = Manifest.objects.filter(repository=OuterRef("repository"), digest=OuterRef("subject"))

_Turn = tuple[bool, int, int, int]


class Mark:
    """What would go under `policy` with everything due that is unused since before `cut`."""

    def __init__(
        self, policy: Policy, cut: datetime, pace: Throttle | None = None, earlier: datetime | None = None
    ) -> None:
        """Mark nothing yet; a sweep with the cut `earlier` comes first, None: none does.

        Who watches `pace` is asked after each batch of rows, with no statement left open. An open one would keep its
        snapshot: on SQLite nothing could be written meanwhile, no sign of life either.
        """
        self._policy = policy
        self._cut = cut
        self._pace = pace or Throttle()
        self._earlier = 0 if earlier is None else microseconds(earlier)
        self._manifests = Bitmap()
        self._links = Bitmap()
        self._judged_links = Bitmap()
        self._manifest_ends = Moments()
        self._link_ends = Moments()
        self._scopes = [pks[0] for pks in policy.batches()]

    def find(self) -> Iterator[Finding]:
        """Yield manifests, then links and blobs; each kind once, holders before what they hold.

        Raises StopError when `pace` does.
        """
        if self._policy.remove_untagged:
            yield from self._find_manifests()
        self._mark_links()
        yield from self._find_links()

    def _find_manifests(self) -> Iterator[Finding]:
        for pks in self._batches(self._idle(Manifest.objects.exclude(KEEPS_UNTAGGED))):
            waiting = deque(pks)
            while waiting:
                marked = list(self._judge_manifests(_take(waiting)))
                waiting.extend(_held_by([row.pk for row, _ in marked]))
                self._pace.look()
                for row, reason in marked:
                    yield Finding(Kind.MANIFEST, row.digest, reason, row.repository_id, row.repository.name)

    def _idle(self, rows: QuerySet[Any]) -> Bitmap:
        """Return the primary keys of those that nothing holds since before the cut, read in one go."""
        idle = Bitmap()
        for scope in self._policy.scopes():
            due = deletion.in_sight(rows).filter(scope, is_unreferenced=True, last_used_at__lt=self._cut)
            for pk in due.values_list("pk", flat=True).iterator(BATCH):
                idle.add(pk)
        return idle

    def _batches(self, pks: Iterable[int]) -> Iterator[list[int]]:
        iterator = iter(pks)
        while batch := list(islice(iterator, BATCH)):
            yield batch
            self._pace.look()

    def _judge_manifests(self, pks: list[int]) -> Iterator[tuple[Manifest, str]]:
        """Mark those of `pks` that go and yield them with the reason."""
        kept, parents = self._parents(pks)
        # Asked by itself: joined, PostgreSQL reads every tag there is.
        kept |= set(Tag.objects.filter(manifest__in=pks).values_list("manifest_id", flat=True))
        rows = Manifest.objects.filter(pk__in=pks, last_used_at__lt=self._cut).order_by("last_used_at", "pk")
        rows = rows.annotate(subject_pk=Subquery(_SUBJECT.values("pk"))).select_related("repository")
        for row in rows.only("digest", "subject", "last_used_at", "repository__name"):
            is_referrer = row.subject_pk is not None
            if row.pk in self._manifests or row.pk in kept or (is_referrer and row.subject_pk not in self._manifests):
                continue
            self._manifests.add(row.pk)
            parent_end, parent = parents.get(row.pk, (0, None))
            subject_end = self._manifest_ends[row.subject_pk] if is_referrer else 0
            self._manifest_ends.put(row.pk, max(microseconds(row.last_used_at), parent_end, subject_end))
            yield row, _reason(row, parent, row.subject if is_referrer else None)

    def _parents(self, pks: list[int]) -> tuple[set[int], dict[int, tuple[int, str]]]:
        """Return which of `pks` an index keeps, and when and with which digest the last index of the others goes."""
        kept: set[int] = set()
        parents: dict[int, tuple[int, str]] = {}
        rows = ManifestChild.objects.filter(child__in=pks).values_list("child_id", "parent_id", "parent__digest")
        for child, parent, digest in rows.iterator(BATCH):
            if parent in self._manifests:
                parents[child] = max(parents.get(child, (0, "")), (self._manifest_ends[parent], digest))
            else:
                kept.add(child)
        return kept, parents

    def _mark_links(self) -> None:
        for pks in self._batches(self._idle(Link.objects.all())):
            self._judge_links(pks)
        for pks in self._batches(self._manifests):
            for links in self._batches(ManifestBlob.objects.filter(manifest__in=pks).values_list("link_id", flat=True)):
                self._judge_links([pk for pk in links if pk not in self._judged_links])

    def _judge_links(self, pks: list[int]) -> None:
        # A layer that everybody has is kept by the first tagged manifest that is met, not by reading all of them.
        kept = set(Link.objects.filter(_USED_BY_TAGGED, pk__in=pks).values_list("pk", flat=True))
        doubtful = [pk for pk in pks if pk not in kept]
        uses = ManifestBlob.objects.filter(link__in=doubtful).values_list("link_id", "manifest_id")
        ends: dict[int, int] = {}
        for link, manifest in uses.iterator(BATCH):
            ends[link] = max(ends.get(link, 0), self._manifest_ends[manifest])
            if manifest not in self._manifests:
                kept.add(link)
        old = Link.objects.filter(pk__in=pks, last_used_at__lt=self._cut).values_list("pk", "last_used_at")
        for pk, last_used_at in old:
            if pk not in kept:
                self._links.add(pk)
                self._link_ends.put(pk, max(microseconds(last_used_at), ends.get(pk, 0)))
        for pk in pks:
            self._judged_links.add(pk)

    def _find_links(self) -> Iterator[Finding]:
        for pks in self._batches(self._links):
            rows = list(Link.objects.filter(pk__in=pks).select_related("blob", "repository").order_by("pk"))
            last_links = self._last_links({row.blob_id for row in rows})
            for row in rows:
                here = (row.repository_id, row.repository.name)
                yield Finding(Kind.LINK, row.blob.digest, _link_reason(row), *here)
                if last_links.get(row.blob_id) == row.pk:
                    yield Finding(Kind.BLOB, row.blob.digest, "no repository links it any more", *here, row.blob.size)

    def _last_links(self, blob_pks: set[int]) -> dict[int, int]:
        """Return, for each blob all of whose links go, the link that goes last."""
        kept: set[int] = set()
        last: dict[int, _Turn] = {}
        rows = Link.objects.filter(blob__in=blob_pks).values_list("blob_id", "repository_id", "pk")
        for blob, repository, link in rows.iterator(BATCH):
            turn = self._turn(link, repository)
            last[blob] = max(last.get(blob, turn), turn)
            if link not in self._links:
                kept.add(blob)
        return {blob: link for blob, (*_, link) in last.items() if blob not in kept}

    def _turn(self, link: int, repository: int) -> _Turn:
        """Return what puts links in the order in which they go."""
        end = self._link_ends[link]
        return end >= self._earlier, bisect(self._scopes, repository), end, link


def _held_by(pks: list[int]) -> list[int]:
    """Return the children and referrers of manifests."""
    children = ManifestChild.objects.filter(parent__in=pks).values_list("child_id", flat=True)
    digests: dict[int, list[str]] = {}
    for repository, digest in Manifest.objects.filter(pk__in=pks).values_list("repository_id", "digest"):
        digests.setdefault(repository, []).append(digest)
    referrers = (
        Manifest.objects.filter(repository=repository, subject__in=subjects).values_list("pk", flat=True)
        for repository, subjects in digests.items()
    )
    return [*children, *chain.from_iterable(referrers)]


def _reason(row: Manifest, parent: str | None, subject: str | None) -> str:
    if parent is not None:
        return f"only an index that goes lists it, {parent}"
    if subject is not None:
        return f"its subject goes, {subject}"
    return f"no tag, index or subject holds it; unused since {row.last_used_at:%Y-%m-%d %H:%M:%S} UTC"


def _link_reason(row: Link) -> str:
    if row.is_unreferenced:
        return f"no manifest here uses it; unused since {row.last_used_at:%Y-%m-%d %H:%M:%S} UTC"
    return "only manifests that go use it"


def _take(waiting: deque[int]) -> list[int]:
    return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
