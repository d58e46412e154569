"""`manage.py importregistry FOLDER`: take over what registry:2 or 3 has stored."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings

from audit.kinds import Kind
from audit.recording import record
from core.sizes import counted, size_text
from distribution import bucket_owner
from distribution.storage import copy_mark
from distribution.storage.blob_store import blob_store, check_storage
from registry_copy import places
from registry_copy.command import TransferCommand, Watch
from registry_copy.errors import CopyError
from registry_copy.importing import run as importing
from registry_copy.importing.repository import Source
from registry_copy.objects import Placing
from registry_copy.progress import Progress
from registry_copy.source.tree import Tree


class Command(TransferCommand):
    """Import, and print what was left out and the next step."""

    noun, verb = "import", "importing"
    help = (
        "Take over the repositories, manifests, tags and blobs of a registry 2.x or 3.x (docker/distribution) from its "
        "storage, beside a running server. The storage of the other registry is only read; its blobs are hard links "
        "afterwards, unless --copy is given. Another run continues, and takes what came since. Exit status 1: "
        "refused, interrupted, or something was left out, and said why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument(
            "source",
            metavar="FOLDER",
            help="The storage of the other registry, with docker/registry/v2 in it; or s3://BUCKET/PREFIX, copied by "
            "S3 itself when the registry's own storage is at the same endpoint.",
        )
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--copy", action="store_true", help="Copy the blobs instead of linking them.")
        how.add_argument(
            "--move",
            action="store_true",
            help="Delete the other registry's files of all blobs that are here, at the end, if nothing was left out.",
        )
        parser.add_argument(
            "--verify",
            action="store_true",
            help="Hash each blob that is linked, or copied by S3 itself; without it sizes are compared.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Change nothing; print what would be imported.")
        super().add_arguments(parser)

    def transfer(self, progress: Progress, watch: Watch, options: dict[str, Any]) -> Iterable[str]:
        return _summary(progress, _run(progress, watch, options), options)


def _run(progress: Progress, watch: Watch, options: dict[str, Any]) -> int | None:
    """Import; return how many files were removed, None without --move."""
    matches = places.matching(options["repository"])
    if options["move"] and options["repository"] != "*":
        raise CopyError("--move: other repositories may need the blobs too, so it takes all: leave out --repository")
    store, is_dry_run = blob_store(), options["dry_run"]
    copy_mark.refuse_unfinished(store)
    if not is_dry_run:
        store.prepare()
        if store.is_cloud:
            bucket_owner.check(store, bucket_owner.name())
    check_storage()
    with Placing(watch) as placing:
        progress.moved_bytes = lambda: placing.moved_bytes
        files = places.files_of(options["source"], store, placing.moved, copies=options["copy"])
        progress.is_hashed = options["verify"] or files.hashes
        source = Source(Tree(files), placing, progress, verifies=options["verify"], is_dry_run=is_dry_run)
        importing.run(source, matches, watch)
        if options["repository"] == "*" and not is_dry_run:
            importing.count_unlinked(source, watch)
        if not is_dry_run:
            done = f"{counted(progress.manifests, 'manifest')}, {counted(progress.blobs, 'blob')}"
            record(Kind.CHANGE, None, credential="command", reference="importregistry", detail=f"imported {done}")
        if not options["move"] or is_dry_run or progress.left_out:
            return None
        return importing.remove_moved(source.tree, watch)


def _summary(progress: Progress, removed: int | None, options: dict[str, Any]) -> Iterator[str]:
    verb = "would be imported" if options["dry_run"] else "imported"
    yield (
        f"{verb} from {counted(progress.repositories, 'repository', 'repositories')}: "
        f"{counted(progress.manifests, 'manifest')}, {counted(progress.tags, 'new tag')}, "
        f"{counted(progress.moved, 'moved tag')}, {counted(progress.blobs, 'blob')} with {size_text(progress.bytes)}, "
        f"in {progress.seconds:.1f} seconds"
    )
    if progress.kept:
        yield f"{counted(progress.kept, 'tag')} kept as here, for the reasons above"
    if progress.dangling:
        yield (
            f"{counted(progress.dangling, 'link')} to a layer whose bytes are gone there, as after its garbage "
            "collection: no manifest that is here needs them"
        )
    if progress.unlinked:
        yield (
            f"{counted(progress.unlinked, 'blob')} of {options['source']} not taken: no repository links them, so no "
            "client could pull them there either, or they are of something that was left out"
        )
    if removed is not None:
        yield f"{counted(removed, 'file')} of {options['source']} deleted: the registry has these blobs"
    elif options["move"] and progress.left_out:
        yield f"nothing was deleted from {options['source']}, since something was left out"
    if not progress.is_hashed and not options["dry_run"] and progress.blobs:
        later = "the scrub" if settings.REGISTRY.storage.scrub else "`manage.py fsck --deep`"
        yield f"the bytes of the blobs were not hashed (--verify does that): {later} reads and compares them later"
