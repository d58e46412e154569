"""Manifests: their bytes, what they name, and that all of it is in one repository."""

from collections.abc import Iterator

from django.db.models import F, Model, QuerySet

from collector.batches import by_pk
from collector.fsck.problem import Problem
from core.api.errors import RegistryError
from distribution import deletion
from distribution.models import Manifest, ManifestBlob, ManifestChild, Tag
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.manifest_parser import parse_manifest

# A manifest has up to 4 MiB.
BATCH = 20


def check() -> Iterator[Problem]:
    """Yield each manifest that is not what its digest says or lacks something that it names."""
    for row in by_pk(deletion.in_sight(Manifest.objects.select_related("repository")), BATCH):
        fault = _fault(row)
        if fault and Manifest.objects.filter(pk=row.pk).exists():
            yield Problem(f"manifest {row.digest} in {row.repository.name}: {fault}", is_loss=True)
    for rows, what in _strays():
        for stray in by_pk(rows):
            yield Problem(f"{what} {stray.pk} crosses repositories")


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
    return f"nothing holds {', '.join(sorted(missing))}, which it names" if missing else ""


def _strays() -> list[tuple[QuerySet[Model], str]]:
    uses = ManifestBlob.objects.exclude(manifest__repository=F("link__repository"))
    children = ManifestChild.objects.exclude(parent__repository=F("child__repository"))
    tags = Tag.objects.exclude(repository=F("manifest__repository"))
    return [(uses, "use of a blob"), (children, "child of an index"), (tags, "tag")]
