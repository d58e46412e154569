"""What must hold after every request, asked of the rows and of the disk."""

from collections.abc import Iterator
from pathlib import Path

from distribution.models import Blob, Link, Manifest, ManifestBlob, ManifestChild, Segment, Tag, Trash, Upload


def objects_on(disk: Path) -> set[str]:
    """Return the keys of all objects that lie in the storage."""
    return {str(path.relative_to(disk)) for path in disk.rglob("*") if path.is_file()}


def named_keys() -> list[str]:
    """Return every key that a row names, as often as one does."""
    return [
        *Blob.objects.values_list("key", flat=True),
        *Segment.objects.values_list("key", flat=True),
        *Upload.objects.filter(assembly_key__isnull=False).values_list("assembly_key", flat=True),
        *Trash.objects.values_list("key", flat=True),
    ]


def broken(disk: Path) -> list[str]:
    """Return what does not hold: nothing, one hopes."""
    return [*_broken_storage(disk), *_blobs_without_links(), *_wrong_flags()]


def _broken_storage(disk: Path) -> Iterator[str]:
    names = named_keys()
    yield from (f"{key} is named more than once" for key in set(names) if names.count(key) > 1)
    lying = objects_on(disk)
    yield from (f"no row names {key}" for key in lying - set(names))
    kept = [*Blob.objects.values_list("key", "size"), *Segment.objects.exclude(size=None).values_list("key", "size")]
    yield from (f"{key} is missing or short" for key, size in kept if not _has_size(disk / key, size))


def _has_size(path: Path, size: int | None) -> bool:
    return path.is_file() and path.stat().st_size == size


def _blobs_without_links() -> Iterator[str]:
    yield from (f"{blob} has no link" for blob in Blob.objects.filter(links=None))


def _wrong_flags() -> Iterator[str]:
    for manifest in Manifest.objects.all():
        if manifest.is_idle == _is_held(manifest):
            yield f"manifest {manifest} says is_idle={manifest.is_idle}"
    for link in Link.objects.all():
        if link.is_idle == ManifestBlob.objects.filter(link=link).exists():
            yield f"link {link} says is_idle={link.is_idle}"


def _is_held(manifest: Manifest) -> bool:
    """Ask in plain words: a tag, a parent index, or a subject that is in the repository."""
    return (
        Tag.objects.filter(manifest=manifest).exists()
        or ManifestChild.objects.filter(child=manifest).exists()
        or Manifest.objects.filter(repository=manifest.repository_id, digest=manifest.subject).exists()
    )
