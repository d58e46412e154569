"""What the registry has already, asked before a batch; `rows` checks it again under locks."""

from collections.abc import Collection

from core.db.statement import Statement
from distribution.manifests.incoming import FETCHED_BY
from distribution.models import Repository
from distribution.storage.cloud import Piece
from distribution.usage import sizes

# What proxies have fetched may lack what it names, and goes when nobody pulls it: it is imported like what is not here.
_FETCHED = f"{FETCHED_BY}%"
_MANIFESTS = Statement("""
SELECT digest FROM distribution_manifest
WHERE repository_id = (SELECT id FROM distribution_repository WHERE name = %s) AND digest = ANY(%s)
    AND missing IS NULL AND (pushed_by IS NULL OR pushed_by NOT LIKE %s)
""")
_TAGS = Statement("""
SELECT tag.name, manifest.digest FROM distribution_tag tag
JOIN distribution_manifest manifest ON manifest.id = tag.manifest_id
WHERE tag.repository_id = (SELECT id FROM distribution_repository WHERE name = %s) AND tag.name = ANY(%s)
    AND manifest.missing IS NULL AND (manifest.pushed_by IS NULL OR manifest.pushed_by NOT LIKE %s)
""")
_LINKED = Statement("""
SELECT blob.digest, blob.size FROM distribution_blob blob
JOIN distribution_link link ON link.blob_id = blob.id
WHERE link.repository_id = (SELECT id FROM distribution_repository WHERE name = %s)
    AND blob.digest = ANY(%s) AND NOT blob.is_corrupt
""")
_BLOBS = Statement("SELECT digest, size FROM distribution_blob WHERE digest = ANY(%s) AND NOT is_corrupt")
_OBJECTS = Statement("SELECT digest, key, size FROM distribution_blob WHERE digest = ANY(%s) AND NOT is_corrupt")
_ANY_MANIFESTS = Statement("SELECT DISTINCT digest FROM distribution_manifest WHERE digest = ANY(%s)")


def manifests(name: str, digests: Collection[str]) -> set[str]:
    """Return those of `digests` that are manifests in the repository, to stay, with all they name."""
    return {digest for (digest,) in _MANIFESTS.rows(name, list(digests), _FETCHED)}


def tags(name: str, names: Collection[str]) -> dict[str, str]:
    """Return the digests of those tags that are in the repository, and whose manifest is among `manifests`."""
    return dict(_TAGS.rows(name, list(names), _FETCHED))


def linked(name: str, digests: Collection[str]) -> dict[str, int]:
    """Return the sizes of those sound blobs that are in the repository."""
    return dict(_LINKED.rows(name, list(digests)))


def blobs(digests: Collection[str]) -> dict[str, int]:
    """Return the sizes of those sound blobs that the registry has in any repository."""
    return dict(_BLOBS.rows(list(digests)))


def objects(digests: Collection[str]) -> dict[str, Piece]:
    """Return the objects of those sound blobs that the registry has."""
    return {digest: Piece(key, size) for digest, key, size in _OBJECTS.rows(list(digests))}


def known(digests: Collection[str]) -> set[str]:
    """Return those of `digests` that are a blob or manifest anywhere."""
    return blobs(digests).keys() | {digest for (digest,) in _ANY_MANIFESTS.rows(list(digests))}


def refresh_size(name: str) -> None:
    """Sum the blobs of the repository, which a push leaves to its process."""
    pk = Repository.objects.filter(name=name).values_list("pk", flat=True).first()
    if pk is not None:
        sizes.refresh(pk)
