"""The statements of the pull path: written once, so that no query is built for a request.

Through the ORM the same question takes 370 µs, as a prepared statement 23 µs. A lookup that finds something
promises it (`promises`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from core.db.statement import Row, Statement
from distribution import last_used
from distribution.protocol.digest import Digest
from distribution.protocol.references import Tag

_BLOB = """
SELECT link.id, link.last_used_at < {cut}, blob.id, blob.digest, blob.size, blob.key
FROM distribution_link link
JOIN distribution_blob blob ON blob.id = link.blob_id
WHERE link.repository_id = (SELECT id FROM distribution_repository WHERE name = %s)
AND link.blob_id = (SELECT id FROM distribution_blob WHERE digest = %s) AND NOT blob.is_corrupt
"""

_MANIFEST = """
SELECT manifest.id, manifest.last_used_at < {cut}, manifest.digest, manifest.media_type, manifest.size, manifest.payload
FROM distribution_manifest manifest
JOIN distribution_repository repository ON repository.id = manifest.repository_id
WHERE repository.name = %s AND manifest.digest = %s
"""

_TAGGED = """
SELECT manifest.id, manifest.last_used_at < {cut}, manifest.digest, manifest.media_type, manifest.size, manifest.payload
FROM distribution_tag tag
JOIN distribution_repository repository ON repository.id = tag.repository_id
JOIN distribution_manifest manifest ON manifest.id = tag.manifest_id
WHERE repository.name = %s AND tag.name = %s
"""

# By whether the payload is asked for.
_BY_DIGEST = {True: _MANIFEST, False: _MANIFEST.replace("manifest.payload", "NULL")}
_BY_TAG = {True: _TAGGED, False: _TAGGED.replace("manifest.payload", "NULL")}

_TAGS = Statement("""
SELECT name FROM distribution_tag WHERE repository_id = %s AND name > %s ORDER BY name LIMIT %s
""")

_REPOSITORY = Statement("SELECT id FROM distribution_repository WHERE name = %s")

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """A sound blob that a repository links; `size` in bytes."""

    pk: int
    digest: str
    size: int
    key: str


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """A manifest of a repository; `payload` is empty when only the headers were asked for."""

    pk: int
    digest: str
    media_type: str
    size: int
    payload: bytes


Found = TypeVar("Found", FoundBlob, FoundManifest)


def blob(name: str, digest: Digest) -> FoundBlob | None:
    """Return the blob that the repository called `name` links, None when there is none."""
    return _promised(_BLOB, name, str(digest), "distribution_link", _found_blob)


def manifest(name: str, reference: Digest | Tag, *, with_payload: bool) -> FoundManifest | None:
    """Return the manifest that `reference` names in the repository called `name`, None when there is none."""
    sql = (_BY_DIGEST if isinstance(reference, Digest) else _BY_TAG)[with_payload]
    return _promised(sql, name, str(reference), "distribution_manifest", _found_manifest)


def repository(name: str) -> int | None:
    """Return the primary key of the repository called `name`, None when nothing was ever pushed there."""
    row = _REPOSITORY.row(name)
    return row[0] if row else None


def tags(repository_pk: int, last: str, limit: int) -> list[str]:
    """Return up to `limit` tags of the repository after `last`, in byte order: the order of their index."""
    return [name for (name,) in _TAGS.rows(repository_pk, last, limit)]


def _promised(sql: str, name: str, wanted: str, table: str, make: Callable[[Row], Found]) -> Found | None:
    statement = last_used.statement(sql)
    remembered: int | None = None
    for attempt in range(ATTEMPTS + 1):
        row = statement.row(name, wanted)
        if row is None:
            return None
        # With a grace period of nothing, what others renew again and again looks stale at the last look too.
        if not row[1] or row[0] == remembered or attempt == ATTEMPTS:
            return make(row)
        is_renewed = last_used.renew(table, row[0])
        if is_renewed:
            return make(row)
        # Another request renewed the row, or the collector took it, before it was kept from that (None) or not: the
        # next look tells which.
        if is_renewed is None:
            remembered = row[0]
    return None


def _found_blob(row: Row) -> FoundBlob:
    _, _, pk, digest, size, key = row
    return FoundBlob(pk, digest, size, key)


def _found_manifest(row: Row) -> FoundManifest:
    pk, _, digest, media_type, size, payload = row
    return FoundManifest(pk, digest, media_type, size, bytes(payload or b""))
