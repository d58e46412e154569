"""Check what must never break, and mend what can be mended. Beside a running server.

    blobs       each blob's object is there with its size (deep: and its digest); each blob has a link
    manifests   each payload has its digest, and all that it names is there as rows
    holds       `is_unreferenced` is so, for manifests and links
    uploads     each open one has the bytes that it counts, in objects of its own
    objects     each stored object is named by exactly one row

A finding is looked at a second time before it counts: what a push or the collector just changed is no fault.
"""

from collections.abc import Iterator

from collector.fsck import blobs, holds, manifests, objects, uploads
from collector.fsck.problem import Problem

__all__ = ["Problem", "check"]


def check(*, is_deep: bool = False) -> Iterator[Problem]:
    """Yield what is broken; `is_deep` reads every blob and compares its digest."""
    yield from blobs.check(is_deep=is_deep)
    yield from manifests.check()
    yield from holds.check()
    yield from uploads.check()
    yield from objects.check()
