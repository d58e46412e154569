"""Referrers: the manifests of a repository whose `subject` is a digest, whether that manifest exists or not.

Source: OCI Distribution Specification v1.1, "Listing Referrers". A put stores the members of the descriptor in columns,
so listing parses no manifest.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from acl.names import RepositoryName
from distribution import queries
from distribution.models import Manifest
from distribution.protocol.digest import Digest
from distribution.protocol.spec import MANIFEST_MAX_BYTES

Descriptor = dict[str, Any]

# A manifest has up to 4 MiB, nearly all of which can be annotations.
BATCH = 20

_COLUMNS = ("digest", "media_type", "size", "artifact_type", "annotations")


def page(
    name: RepositoryName, subject: Digest, artifact_type: str | None, limit: int, last: str
) -> tuple[list[Descriptor], bool]:
    """Return up to `limit` descriptors after the digest `last`, in its order, and whether more follow.

    A page ends early where it would exceed MANIFEST_MAX_BYTES, the most that clients read of an index.
    """
    # No media type has a NUL, which PostgreSQL refuses.
    if artifact_type is not None and "\0" in artifact_type:
        return [], False
    repository = queries.repository(name)
    rows = Manifest.objects.filter(repository=repository, subject=str(subject)).order_by("digest")
    if artifact_type is not None:
        rows = rows.filter(artifact_type=artifact_type)
    found = list(_fitting(islice(_descriptors(rows, last), limit)))
    return found, bool(found) and rows.filter(digest__gt=found[-1]["digest"]).exists()


def _descriptors(rows: QuerySet[Manifest], last: str) -> Iterator[Descriptor]:
    """Yield the descriptors of `rows` after the digest `last`, BATCH of them in memory at a time."""
    while batch := list(rows.filter(digest__gt=last).values(*_COLUMNS)[:BATCH]):
        for row in batch:
            described: Descriptor = {"mediaType": row["media_type"], "digest": row["digest"], "size": row["size"]}
            if row["artifact_type"]:
                described["artifactType"] = row["artifact_type"]
            if row["annotations"]:
                described["annotations"] = row["annotations"]
            yield described
        last = batch[-1]["digest"]


def _fitting(found: Iterable[Descriptor]) -> Iterator[Descriptor]:
    left = MANIFEST_MAX_BYTES - 1024
    for position, described in enumerate(found):
        left -= len(json.dumps(described)) + 2
        # One descriptor always fits: it is smaller than the manifest that it describes.
        if left < 0 and position:
            return
        yield described
