"""Export repositories beside a server: what is there at the beginning, and still is when its turn comes.

Tags are read first, then manifests, then blobs. So whatever a tag or manifest names is among what is read after it,
unless it was deleted meanwhile.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from collector.batches import BATCH, by_pk
from core.failpoints import failpoint
from distribution import deletion
from distribution.models import Blob, Link, Manifest, ManifestChild, Repository, Tag
from distribution.protocol.digest import parse_digest
from distribution.storage.blob_store import MissingObjectError
from registry_copy.errors import LeftOutError
from registry_copy.exporting.layouts import Layout, TagRow
from registry_copy.objects import Placing
from registry_copy.progress import Progress

# A manifest has up to 4 MiB.
_MANIFESTS = 20
_INCOMPLETE = "it was fetched from another registry, and nobody has pulled all that it names"


def run(layout: Layout, matches: Callable[[str], bool], placing: Placing, progress: Progress) -> None:
    """Export the repositories whose name `matches`; everything is durable when this returns.

    Raises CopyError, OSError, and what database and storage raise; the next run continues.
    """
    progress.total = sum(
        Manifest.objects.filter(repository=one).count() + Link.objects.filter(repository=one).count()
        for one in _repositories(matches)
    )
    for repository in _repositories(matches):
        RepositoryExport(layout, repository, placing, progress).run()
        progress.repositories += 1
        failpoint("export.after_repository")
    os.sync()


def _repositories(matches: Callable[[str], bool]) -> Iterator[Repository]:
    rows = deletion.without_hidden(Repository.objects.only("name"))
    return (repository for repository in by_pk(rows) if matches(repository.name))


def _rows(rows: QuerySet[Any], key: str, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield `key` and `columns` in the order of the key, with no statement open between pages."""
    rows, last = rows.order_by(key), None
    while page := list(
        (rows if last is None else rows.filter(**{f"{key}__gt": last})).values_list(key, *columns)[:BATCH]
    ):
        yield from page
        last = page[-1][0]


class RepositoryExport:
    """The export of one repository."""

    def __init__(self, layout: Layout, repository: Repository, placing: Placing, progress: Progress) -> None:
        self._layout, self._repository, self._placing, self._progress = layout, repository, placing, progress
        self._name = repository.name

    def run(self) -> None:
        tags = list(self._tags())
        lacking = self._lacking()
        roots = [root for root in self._untagged() if root["digest"] not in lacking]
        for row in by_pk(Manifest.objects.filter(repository=self._repository), _MANIFESTS):
            if row.missing or row.digest in lacking:
                lacking.add(row.digest)
                self._progress.leave_out("manifest", f"{self._name}@{row.digest}", _INCOMPLETE)
            else:
                self._layout.manifest(self._name, parse_digest(row.digest), bytes(row.payload), row.created_at)
                self._progress.manifests += 1
            self._progress.done += 1
            self._placing.watch()
        self._export_blobs()
        self._export_tags(tags, lacking)
        self._layout.finish(self._name, roots)

    def _export_tags(self, tags: list[TagRow], lacking: set[str]) -> None:
        for tag in tags:
            if tag.digest in lacking:
                self._progress.leave_out("tag", f"{self._name}:{tag.name}", f"its manifest {tag.digest}: {_INCOMPLETE}")
                continue
            if why := self._layout.tag(self._name, tag):
                self._progress.keep(f"{self._name}:{tag.name}", why)
            self._progress.tags += 1

    def _lacking(self) -> set[str]:
        """Return the digests of manifests that lack something, and of the indexes that list such ones."""
        found: dict[int, str] = {}
        rows = Manifest.objects.filter(repository=self._repository, missing__isnull=False)
        new: dict[int, str] = dict(_rows(rows, "pk", "digest"))
        while new:
            found |= new
            parents: dict[int, str] = {}
            pks = list(new)
            for start in range(0, len(pks), BATCH):
                listed = ManifestChild.objects.filter(child__in=pks[start : start + BATCH])
                parents |= dict(listed.values_list("parent_id", "parent__digest"))
            new = {pk: digest for pk, digest in parents.items() if pk not in found}
        return set(found.values())

    def _tags(self) -> Iterator[TagRow]:
        described = ("manifest__digest", "manifest__media_type", "manifest__size", "updated_at")
        for row in _rows(Tag.objects.filter(repository=self._repository), "name", *described):
            yield TagRow(*row)

    def _untagged(self) -> Iterator[dict[str, object]]:
        listed = ManifestChild.objects.filter(child=OuterRef("pk"), parent__missing=None)
        rows = Manifest.objects.filter(~Exists(listed), repository=self._repository, tags=None)
        for _, digest, media_type, size in _rows(rows, "pk", "digest", "media_type", "size"):
            yield {"mediaType": media_type, "digest": digest, "size": size}

    def _export_blobs(self) -> None:
        links = Link.objects.filter(repository=self._repository).select_related("blob")
        page: dict[str, Blob] = {}
        for link in by_pk(links):
            page[link.blob.digest] = link.blob
            if len(page) == BATCH:
                self._export_page(page)
                page = {}
        self._export_page(page)

    def _export_page(self, page: dict[str, Blob]) -> None:
        new: set[str] = set()

        def take(digest: str) -> str:
            return self._take(page[digest], new)

        for digest, fault in self._placing.each(take, page, is_slow=True):
            # The row may have been removed meanwhile.
            if fault and self._current(page[digest]).exists():
                self._progress.leave_out("blob", f"{self._name}@{digest}", fault)
            self._progress.done += 1
        self._progress.blobs += len(new)
        self._progress.bytes += sum(page[digest].size for digest in new)

    def _take(self, blob: Blob, new: set[str]) -> str:
        if blob.is_corrupt:
            return "it is marked corrupt: a push heals it"
        try:
            if self._layout.blob(self._name, parse_digest(blob.digest), blob.key, blob.size):
                new.add(blob.digest)
        except MissingObjectError:
            return f"its object {blob.key} is missing"
        except LeftOutError as error:
            return str(error)
        failpoint("export.after_blob")
        return ""

    def _current(self, blob: Blob) -> QuerySet[Blob]:
        return Blob.objects.filter(pk=blob.pk, key=blob.key)
