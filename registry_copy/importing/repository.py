"""Import one repository: tags with their manifests, then the other manifests, then the other layers.

What is here already is skipped before it is read, so that another run takes little time.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from acl.names import RepositoryName
from core.api.errors import RegistryError
from core.db import clock
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.references import parse_tag
from distribution.storage import disk_reserve
from registry_copy.errors import CopyError, LeftOutError, VanishedError
from registry_copy.importing import lookup, manifest, rows
from registry_copy.importing.batch import Batch, SourceTag
from registry_copy.importing.manifest import SourceManifest
from registry_copy.importing.rows import Insertion, Stored
from registry_copy.objects import NewObject, Placing
from registry_copy.progress import Progress
from registry_copy.source.tree import Tree, data_of

AT_ONCE = 500
_ATTEMPTS = 5

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Source:
    """What every repository is imported from, and by. `pretended` are the blobs that a dry run has counted."""

    tree: Tree
    placing: Placing
    progress: Progress
    verifies: bool
    is_dry_run: bool
    pretended: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Blobs:
    """Wanted blobs: `sizes` of those that can be linked, `missing` of those that are not here, `faults` of others."""

    sizes: dict[str, int]
    missing: dict[str, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    unlinked: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


class RepositoryImport:
    """The import of the repository `name`."""

    def __init__(self, source: Source, name: RepositoryName) -> None:
        self._source, self._name = source, name
        self._tree, self._progress = source.tree, source.progress
        # A dry run stores nothing that it could find again.
        self._pretended: set[str] = set()

    def run(self) -> None:
        """Import what is missing. Raises CopyError, and what database and storages raise."""
        done = self._progress.done
        revisions = layers = 0
        for tags in _batches(self._tree.tags(self._name)):
            self._import_tags(tags)
        for digests in _batches(self._tree.revisions(self._name)):
            self._import_manifests(digests)
            revisions += len(digests)
        for digests in _batches(self._tree.layers(self._name)):
            self._import_layers(digests)
            layers += len(digests)
        self._progress.done = done + revisions + layers

    # --- tags and manifests ----------------------------------------------------------------------
    def _import_tags(self, names: list[str]) -> None:
        found = [tag for name in names if (tag := self._read_tag(name)) is not None]
        here = lookup.tags(self._name, [tag.name for tag in found])
        tags = [tag for tag in found if here.get(tag.name) != tag.digest]
        self._progress.present += len(found) - len(tags)
        now = clock.now()
        present = self._present([tag.digest for tag in tags])
        batch = self._batch()
        for tag in tags:
            # A clock that is ahead must not win over later pushes here.
            batch.tags.append(replace(tag, moved_at=min(tag.moved_at, now)))
            if tag.digest not in present:
                batch.add(tag.digest)
            if batch.is_full:
                batch = self._flush(batch)
        self._flush(batch)

    def _read_tag(self, name: str) -> SourceTag | None:
        try:
            parse_tag(name)
            link = self._tree.tag(self._name, name)
        except LeftOutError as error:
            self._progress.leave_out("tag", f"{self._name}:{name}", str(error))
        except RegistryError as error:
            self._progress.leave_out("tag", f"{self._name}:{name}", str(error.detail))
        else:
            return SourceTag(name, str(link.digest), link.written_at)
        return None

    def _import_manifests(self, digests: list[Digest]) -> None:
        present = self._present([str(digest) for digest in digests])
        batch, roots = self._batch(), list[str]()
        for digest in digests:
            if str(digest) in present:
                self._progress.present += 1
            elif self._is_linked(digest):
                roots.append(str(digest))
                batch.add(str(digest))
            if batch.is_full:
                batch, roots = self._flush(batch, roots), []
        self._flush(batch, roots)

    def _is_linked(self, digest: Digest) -> bool:
        """Tell whether the manifest is in the repository: its folder stays when it is deleted."""
        try:
            return self._tree.revision(self._name, digest) is not None
        except LeftOutError as error:
            self._progress.leave_out("manifest", f"{self._name}@{digest}", str(error))
            return False

    def _batch(self) -> Batch:
        def load(digest: Digest) -> SourceManifest:
            return manifest.read(self._tree, self._name, digest)

        return Batch(load, self._present)

    def _present(self, digests: Collection[str]) -> set[str]:
        return lookup.manifests(self._name, digests) | self._pretended.intersection(digests)

    def _flush(self, batch: Batch, roots: Sequence[str] = ()) -> Batch:
        """Store a batch, count those of its tags and `roots` that fail as left out, and return the next batch."""
        tags, named = list(batch.tags), [*(tag.digest for tag in batch.tags), *roots, *batch.manifests]

        def attempt(number: int) -> Batch:
            # What has vanished is read again.
            again = batch if not number else self._batch_of(named, tags)
            self._store(again)
            return again

        batch = self._retried(attempt)
        for tag in tags:
            if (reason := batch.failed.get(tag.digest)) is not None:
                self._progress.leave_out("tag", f"{self._name}:{tag.name}", f"its manifest {tag.digest}: {reason}")
        for digest in roots:
            if (reason := batch.failed.get(digest)) is not None:
                self._progress.leave_out("manifest", f"{self._name}@{digest}", reason)
        return self._batch()

    def _batch_of(self, digests: Collection[str], tags: list[SourceTag]) -> Batch:
        batch, present = self._batch(), self._present(digests)
        for digest in digests:
            if digest not in present:
                batch.add(digest)
        batch.tags = tags
        return batch

    def _retried(self, attempt: Callable[[int], Result]) -> Result:
        """Return what `attempt`, called with 0, 1, …, returns once nothing vanishes. Raises CopyError."""
        for number in range(_ATTEMPTS):
            try:
                return attempt(number)
            except VanishedError as error:
                if number == _ATTEMPTS - 1:
                    raise CopyError(f"{self._name}: {error}; run this again") from error
        raise AssertionError("the last attempt returns or raises")

    def _store(self, batch: Batch) -> None:
        blobs = self._find_blobs(batch.blobs())
        batch.fail(blobs.faults, blobs.sizes)
        needed = batch.blobs()
        missing = {digest: size for digest, size in blobs.missing.items() if digest in needed}
        placed, faults = self._place(missing, verifies=self._source.verifies)
        batch.fail(faults, blobs.sizes)
        needed = (batch.blobs() & blobs.sizes.keys()) - faults.keys()
        tags = [tag for tag in batch.tags if tag.digest not in batch.failed]
        if batch.manifests or tags:
            objects = {digest: new for digest, new in placed.items() if digest in needed}
            self._insert(Insertion(self._name, list(batch.manifests.values()), tags, sorted(needed), objects))

    # --- blobs -----------------------------------------------------------------------------------
    def _import_layers(self, digests: list[Digest]) -> None:
        """Link the blobs that no manifest names: a push may be in progress, and the grace period begins."""
        names = [str(digest) for digest in digests]

        def attempt(_number: int) -> _Blobs:
            here = lookup.linked(self._name, names).keys() | self._pretended
            blobs = self._find_blobs([name for name in names if name not in here])
            # Nothing else tells whether such a blob is whole.
            placed, faults = self._place(blobs.missing, verifies=True)
            blobs.faults.update(faults)
            if needed := sorted(blobs.sizes.keys() - faults.keys()):
                self._insert(Insertion(self._name, [], [], needed, placed))
            return blobs

        blobs = self._retried(attempt)
        self._progress.dangling += len(blobs.gone)
        for digest, why in blobs.faults.items():
            if digest not in blobs.unlinked | blobs.gone:
                self._progress.leave_out("blob", f"{self._name}@{digest}", why)

    def _find_blobs(self, wanted: Collection[str]) -> _Blobs:
        sizes = lookup.linked(self._name, wanted)
        others = [digest for digest in wanted if digest not in sizes]
        blobs = _Blobs(sizes)
        stored = lookup.blobs(others)

        def look(digest: str) -> str:
            return self._look(digest, stored.get(digest), blobs)

        found = self._source.placing.each(look, others, is_slow=self._tree.files.is_slow)
        blobs.faults.update((digest, fault) for digest, fault in found if fault)
        return blobs

    def _look(self, digest: str, stored: int | None, blobs: _Blobs) -> str:
        """Find a blob of the other registry's repository, which may be `stored` here already; return its fault."""
        parsed = parse_digest(digest)
        try:
            if self._tree.layer(self._name, parsed) is None:
                blobs.unlinked.add(digest)
                return "the repository has no link to it"
            # A link alone gives nothing away that is stored here: the other registry must be able to serve it, too.
            size = self._tree.files.size(data_of(parsed))
        except LeftOutError as error:
            return str(error)
        if size is None:
            blobs.gone.add(digest)
            return "its bytes are missing"
        if stored is not None and size != stored:
            return f"it has {size} bytes, and {stored} here"
        blobs.sizes[digest] = size
        if stored is None:
            blobs.missing[digest] = size
        return ""

    # --- storing ---------------------------------------------------------------------------------
    def _place(self, missing: Mapping[str, int], *, verifies: bool) -> tuple[dict[str, NewObject], dict[str, str]]:
        if self._source.is_dry_run:
            return {digest: NewObject("", size) for digest, size in missing.items()}, {}
        return self._source.placing.place(self._tree.files, missing, verifies=verifies)

    def _insert(self, insertion: Insertion) -> None:
        if self._source.is_dry_run:
            stored = self._pretend(insertion)
        else:
            disk_reserve.check_rows()
            stored = rows.store(insertion)
        self._progress.count(stored)
        self._progress.done += stored.manifests + stored.links
        for tag, why in stored.kept:
            self._progress.keep(f"{self._name}:{tag}", why)

    def _pretend(self, insertion: Insertion) -> Stored:
        """Return what would be stored, as far as that is known without the locks."""
        new = {digest: one.size for digest, one in insertion.objects.items() if digest not in self._source.pretended}
        self._source.pretended.update(new)
        linked = [digest for digest in insertion.blobs if digest not in self._pretended]
        self._pretended.update(linked, (str(one.digest) for one in insertion.manifests))
        return Stored(len(new), sum(new.values()), len(linked), len(insertion.manifests), len(insertion.tags))


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch
