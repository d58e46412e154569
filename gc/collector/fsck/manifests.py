"""Manifests: their digest, and the rows that they name, all in one repository."""

from collections.abc import Iterator

from django.db.models import F, Model, QuerySet

from accounts import permissions_version
from collector.batches import by_pk
from collector.fsck.problem import Problem
from core.api.errors import RegistryError
from distribution import deletion
from distribution.models import Manifest, ManifestBlob, ManifestChild, Tag
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.manifest_parser import parse_manifest
from upstreams import compiled

# A manifest has up to 4 MiB.
BATCH = 20


def check() -> Iterator[Problem]:
    """Yield each manifest with a wrong digest, or without the row of a blob or child that it names."""
    for row in by_pk(deletion.in_sight(Manifest.objects.select_related("repository")), BATCH):
        fault = _fault(row)
        if fault and Manifest.objects.filter(pk=row.pk).exists():
            yield Problem(f"manifest {row.digest} in {row.repository.name}: {fault}", is_loss=True)
    crossing: list[tuple[QuerySet[Model], str]] = [
        (ManifestBlob.objects.exclude(manifest__repository=F("link__repository")), "use of a blob"),
        (ManifestChild.objects.exclude(parent__repository=F("child__repository")), "child of an index"),
        (Tag.objects.exclude(repository=F("manifest__repository")), "tag"),
    ]
    for rows, what in crossing:
        for found in by_pk(rows):
            yield Problem(f"{what} {found.pk} joins rows of two repositories")


def _fault(row: Manifest) -> str:
    payload = bytes(row.payload)
    if str(Digest.of(payload, parse_digest(row.digest).algorithm)) != row.digest:
        return "its payload has another digest"
    try:
        parsed = parse_manifest(payload, row.media_type)
    except RegistryError as error:
        return f"its payload is no manifest of {row.media_type}: {error.detail}"
    links = ManifestBlob.objects.filter(manifest=row).values_list("link__blob__digest", flat=True)
    children = ManifestChild.objects.filter(parent=row).values_list("child__digest", flat=True)
    missing = {str(blob.digest) for blob in parsed.blobs} - set(links)
    missing |= {str(child.digest) for child in parsed.children} - set(children)
    if row.missing and compiled.of(row.repository.name, permissions_version.current()) is not None:
        # Not pulled yet: the proxy fetches it.
        missing -= set(row.missing.split())
    return f"it names {', '.join(sorted(missing))}, for which there is no row" if missing else ""
