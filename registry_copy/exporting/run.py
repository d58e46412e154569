"""Export repositories beside a server: what is there at the beginning, and still is when its turn comes.

Tags are read first, then manifests, then blobs. So whatever a tag or manifest names is among what is read after it,
unless it was deleted meanwhile.
"""

import os
from collections.abc import Callable, Iterator

from django.db.models import QuerySet

from collector.batches import BATCH, by_pk
from core.failpoints import failpoint
from distribution import deletion
from distribution.models import Blob, Link, Manifest, Repository, Tag
from distribution.protocol.digest import parse_digest
from distribution.storage.blob_store import MissingObjectError
from registry_copy.errors import LeftOutError
from registry_copy.exporting.layouts import Layout, TagRow
from registry_copy.objects import Placing
from registry_copy.progress import Progress

# A manifest has up to 4 MiB.
_MANIFESTS = 20
_INCOMPLETE = "it was fetched from an upstream, and only in part"


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


class RepositoryExport:
    """The export of one repository."""

    def __init__(self, layout: Layout, repository: Repository, placing: Placing, progress: Progress) -> None:
        self._layout, self._repository, self._placing, self._progress = layout, repository, placing, progress
        self._name = repository.name

    def run(self) -> None:
        tags = list(self._tags())
        roots = list(self._untagged())
        incomplete = self._incomplete()
        for row in by_pk(Manifest.objects.filter(repository=self._repository), _MANIFESTS):
            self._progress.done += 1
            if row.missing is not None or row.digest in incomplete:
                incomplete.add(row.digest)
                self._progress.leave_out("manifest", f"{self._name}@{row.digest}", _INCOMPLETE)
                continue
            self._layout.manifest(self._name, parse_digest(row.digest), bytes(row.payload), row.created_at)
            self._progress.manifests += 1
            self._placing.watch()
        self._export_blobs()
        for tag in tags:
            if tag.digest in incomplete:
                self._progress.leave_out("tag", f"{self._name}:{tag.name}", _INCOMPLETE)
                continue
            if why := self._layout.tag(self._name, tag):
                self._progress.keep(f"{self._name}:{tag.name}", why)
            self._progress.tags += 1
        self._layout.finish(self._name, [root for root in roots if root["digest"] not in incomplete])

    def _incomplete(self) -> set[str]:
        """Return the digests of manifests of which a proxy has fetched a part only, and of the indexes above them."""
        new = set(
            Manifest.objects.filter(repository=self._repository, missing__isnull=False).values_list("pk", "digest")
        )
        found = dict(new)
        while new:
            rows = Manifest.objects.filter(children__child__in=[pk for pk, _ in new]).values_list("pk", "digest")
            new = {row for row in rows if row[0] not in found}
            found |= dict(new)
        return set(found.values())

    def _tags(self) -> Iterator[TagRow]:
        rows = Tag.objects.filter(repository=self._repository).select_related("manifest").order_by("name")
        for tag in rows.defer("manifest__payload", "manifest__annotations"):
            manifest = tag.manifest
            yield TagRow(tag.name, manifest.digest, manifest.media_type, manifest.size, tag.updated_at)

    def _untagged(self) -> Iterator[dict[str, object]]:
        rows = Manifest.objects.filter(repository=self._repository, tags=None, parents=None).order_by("pk")
        for digest, media_type, size in rows.values_list("digest", "media_type", "size"):
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
