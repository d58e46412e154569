"""Referrers: the manifests of a repository whose `subject` is a digest, there or not.

Source: OCI Distribution Specification v1.1, "Listing Referrers". What a descriptor says is kept in columns when
the manifest is put; no manifest is read again.
"""

import json
from collections.abc import Iterator
from typing import Any

from acl.names import RepositoryName
from distribution import lookup
from distribution.digest import Digest
from distribution.models import Manifest
from distribution.spec import MANIFEST_MAX_BYTES

Descriptor = dict[str, Any]

_COLUMNS = ("digest", "media_type", "size", "artifact_type", "annotations")


def page(
    name: RepositoryName, subject: Digest, artifact_type: str | None, limit: int, last: str
) -> tuple[list[Descriptor], bool]:
    """Return up to `limit` descriptors after the digest `last`, in its order, and whether more follow.

    A page ends early where it would outgrow MANIFEST_MAX_BYTES, the most that a client reads of an index.
    """
    repository = lookup.repository(name)
    rows = Manifest.objects.filter(repository=repository, subject=str(subject), digest__gt=last).order_by("digest")
    if artifact_type is not None:
        rows = rows.filter(artifact_type=artifact_type)
    found = [_descriptor(row) for row in rows.values(*_COLUMNS)[: limit + 1]]
    fitting = list(_fitting(found[:limit]))
    return fitting, len(fitting) < len(found)


def _descriptor(row: dict[str, Any]) -> Descriptor:
    described: Descriptor = {"mediaType": row["media_type"], "digest": row["digest"], "size": row["size"]}
    if row["artifact_type"]:
        described["artifactType"] = row["artifact_type"]
    if row["annotations"]:
        described["annotations"] = row["annotations"]
    return described


def _fitting(found: list[Descriptor]) -> Iterator[Descriptor]:
    left = MANIFEST_MAX_BYTES - 1024
    for position, described in enumerate(found):
        left -= len(json.dumps(described)) + 2
        # One descriptor is always shown: it is smaller than the manifest that it describes.
        if left < 0 and position:
            return
        yield described
