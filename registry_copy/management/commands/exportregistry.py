"""`manage.py exportregistry FOLDER`: write what registry:2 or 3 serves, or OCI image layouts."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from core.sizes import counted, size_text
from distribution.storage import copy_mark
from distribution.storage.blob_store import blob_store, check_storage
from registry_copy import places
from registry_copy.command import TransferCommand, Watch
from registry_copy.exporting import run as exporting
from registry_copy.exporting.layouts import DistributionLayout, OciLayout
from registry_copy.exporting.target import Target
from registry_copy.objects import Placing
from registry_copy.progress import Progress


class Command(TransferCommand):
    """Export, and print what was left out."""

    noun, verb = "export", "exporting"
    help = (
        "Write all repositories to a folder that registry 2.x or 3.x (docker/distribution) serves, beside a running "
        "server. Blobs are hard links if the folder is on the file system of the storage, otherwise copies, which are "
        "hashed. A hard link is the same file as the object in the storage: chown, chmod or a write in FOLDER changes "
        "that too; --copy prevents it. Another run continues, and adds what came since. Exit status 1: refused, "
        "interrupted, or something was left out, and said why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument(
            "folder", metavar="FOLDER", type=Path, help="The folder to write; docker/registry/v2 is made in it."
        )
        parser.add_argument(
            "--oci-layout",
            action="store_true",
            help="Write OCI image layouts instead, one for each repository, in FOLDER/NAME/_oci.",
        )
        parser.add_argument(
            "--copy", action="store_true", help="Copy the blobs, so that other users may read them (mode 0644)."
        )
        parser.add_argument("--verify", action="store_true", help="Hash linked blobs too, and those that are there.")
        super().add_arguments(parser)

    def transfer(self, progress: Progress, watch: Watch, options: dict[str, Any]) -> Iterable[str]:
        _run(progress, watch, options)
        return _summary(progress, options["folder"])


def _run(progress: Progress, watch: Watch, options: dict[str, Any]) -> None:
    matches, store = places.matching(options["repository"]), blob_store()
    copy_mark.refuse_unfinished(store)
    check_storage()
    with Placing(watch) as placing:
        progress.moved_bytes = lambda: placing.moved_bytes
        folder = options["folder"].absolute()
        target = Target(folder, store, placing.moved, copies=options["copy"], verifies=options["verify"])
        layout = OciLayout(target) if options["oci_layout"] else DistributionLayout(target)
        exporting.run(layout, matches, placing, progress)


def _summary(progress: Progress, folder: Path) -> Iterator[str]:
    yield (
        f"exported {counted(progress.repositories, 'repository', 'repositories')} to {folder}: "
        f"{counted(progress.manifests, 'manifest')}, {counted(progress.tags, 'tag')}, and "
        f"{counted(progress.blobs, 'blob')} with {size_text(progress.bytes)} that were not there, in "
        f"{progress.seconds:.1f} seconds"
    )
    if progress.kept:
        yield f"{counted(progress.kept, 'tag')} kept as there, for the reasons above"
