"""Check the invariants of database and storage, and repair what can be repaired, beside a running server.

    blobs       each blob has an object of its size (deep: with its digest), and a link
    manifests   each payload has its digest, and everything that it names has a row
    references  `is_unreferenced` is right, for manifests and links
    uploads     each open upload has the bytes that it counts, in objects of its own; no old write is unfinished
    objects     each stored object is named by exactly one row

Each finding is checked twice: a concurrent push or collection is not an error.
"""

from collections.abc import Iterator

from collector.fsck import blobs, manifests, objects, references, uploads
from collector.fsck.problem import Problem

__all__ = ["Problem", "check"]


def check(*, is_deep: bool = False) -> Iterator[Problem]:
    """Yield the problems; `is_deep` reads every blob and compares its digest."""
    yield from blobs.check(is_deep=is_deep)
    yield from manifests.check()
    yield from references.check()
    yield from uploads.check()
    yield from uploads.check_unfinished_writes()
    yield from objects.check()
