"""Import all repositories of another registry."""

from collections.abc import Callable
from itertools import islice

from acl.names import InvalidNameError, RepositoryName, parse_name
from core.failpoints import failpoint
from distribution.protocol.digest import Digest
from distribution.storage.blob_store import MissingObjectError, blob_store
from distribution.storage.cloud import Piece
from registry_copy.errors import CopyError, LeftOutError
from registry_copy.importing import lookup
from registry_copy.importing.repository import AT_ONCE, RepositoryImport, Source
from registry_copy.source.tree import Tree, data_of

Watch = Callable[[], None]


def run(source: Source, matches: Callable[[str], bool], watch: Watch) -> None:
    """Import the repositories whose name `matches`, and count it in the progress of `source`.

    `watch` is called often, and what it raises ends the run; the next one continues. Raises CopyError, and what
    database and storages raise.
    """
    progress, tree = source.progress, source.tree
    progress.total = _total(tree, matches, watch)
    for text in tree.repositories():
        if not matches(text):
            continue
        try:
            name = parse_name(text)
        except InvalidNameError as error:
            progress.leave_out("repository", text, str(error))
            continue
        RepositoryImport(source, name).run()
        _finish(name, source)
        watch()
    progress.done = progress.total


def _total(tree: Tree, matches: Callable[[str], bool], watch: Watch) -> int:
    """Count the manifests and blobs of the repositories, and find out whether there are any."""
    total, found = 0, False
    for name in tree.repositories():
        found = True
        if matches(name):
            total += sum(1 for _ in tree.revisions(name)) + sum(1 for _ in tree.layers(name))
            watch()
    if not found:
        raise CopyError(
            f"{tree.files.where}: no repository of a registry is here; name the folder of its storage, which has "
            "docker/registry/v2/repositories"
        )
    return total


def _finish(name: RepositoryName, source: Source) -> None:
    source.progress.repositories += 1
    if not source.is_dry_run:
        lookup.refresh_size(name)
        failpoint("import.after_repository")


def count_unlinked(source: Source, watch: Watch) -> None:
    """Count the blobs that no repository links: no client can reach them, there or here."""
    digests = source.tree.blobs()
    while batch := [str(digest) for digest in islice(digests, AT_ONCE)]:
        source.progress.unlinked += len(set(batch) - lookup.known(batch))
        watch()


def remove_moved(tree: Tree, watch: Watch) -> int:
    """Delete the files of the blobs whose bytes the registry has, and return their number; manifests and links stay."""
    removed = 0
    digests = tree.blobs()
    while batch := list(islice(digests, AT_ONCE)):
        here = lookup.objects([str(digest) for digest in batch])
        removed += sum(_is_removed(tree, digest, here[str(digest)]) for digest in batch if str(digest) in here)
        watch()
    return removed


def _is_removed(tree: Tree, digest: Digest, here: Piece) -> bool:
    """Delete a file, unless it is gone or the registry's own object has not its size."""
    try:
        if tree.files.size(data_of(digest)) != here.size or blob_store().size(here.key) != here.size:
            return False
    except (LeftOutError, MissingObjectError):
        return False
    tree.files.remove(data_of(digest))
    return True
