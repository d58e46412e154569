"""The queries of the pull path: each statement is written once, so that no request builds one.

Through the ORM the same query takes 370 µs, as a prepared statement 23 µs. A query touches the row that it finds
(`last_used`), and tells the permissions version at which it was found: a pull needs no other statement.
"""

from typing import NamedTuple

from accounts import permissions_version
from core.db.statement import Row, Statement
from distribution import last_used
from distribution.protocol.digest import Digest
from distribution.protocol.references import Tag

_BLOB = f"""
SELECT link.id, link.last_used_at < {{stale_before}}, blob.id, blob.digest, blob.size, blob.key,
    {permissions_version.IN_SQL}
FROM distribution_link link
JOIN distribution_blob blob ON blob.id = link.blob_id
WHERE link.repository_id = (SELECT id FROM distribution_repository WHERE name = %s)
AND link.blob_id = (SELECT id FROM distribution_blob WHERE digest = %s) AND NOT blob.is_corrupt
"""  # noqa: S608 - of constants

_MANIFEST_COLUMNS = f"""
SELECT manifest.id, manifest.last_used_at < {{stale_before}}, manifest.digest, manifest.media_type, manifest.size,
    manifest.payload, {permissions_version.IN_SQL}
"""
_MANIFEST = f"""{_MANIFEST_COLUMNS}
FROM distribution_manifest manifest
JOIN distribution_repository repository ON repository.id = manifest.repository_id
WHERE repository.name = %s AND manifest.digest = %s
"""

_TAGGED = f"""{_MANIFEST_COLUMNS}
FROM distribution_tag tag
JOIN distribution_repository repository ON repository.id = tag.repository_id
JOIN distribution_manifest manifest ON manifest.id = tag.manifest_id
WHERE repository.name = %s AND tag.name = %s
"""

# By whether the payload is wanted.
_BY_DIGEST = {True: _MANIFEST, False: _MANIFEST.replace("manifest.payload", "NULL")}
_BY_TAG = {True: _TAGGED, False: _TAGGED.replace("manifest.payload", "NULL")}

_REPOSITORY = Statement("SELECT id FROM distribution_repository WHERE name = %s")

ATTEMPTS = 3


class FoundBlob(NamedTuple):
    """A sound blob that a repository links; `size` in bytes."""

    pk: int
    digest: str
    size: int
    key: str
    permissions_version: str = ""


class FoundManifest(NamedTuple):
    """A manifest of a repository; `payload` is empty when only the headers are wanted."""

    pk: int
    digest: str
    media_type: str
    size: int
    payload: bytes
    permissions_version: str


def blob(name: str, digest: Digest) -> FoundBlob | None:
    """Return the blob that the repository called `name` links, None when there is none."""
    row = _find_and_touch(_BLOB, name, str(digest), "distribution_link")
    if row is None:
        return None
    _, _, pk, text, size, key, version = row
    return FoundBlob(pk, text, size, key, version)


def manifest(name: str, reference: Digest | Tag, *, with_payload: bool) -> FoundManifest | None:
    """Return the manifest that `reference` names in the repository called `name`, None when there is none."""
    sql = (_BY_DIGEST if isinstance(reference, Digest) else _BY_TAG)[with_payload]
    row = _find_and_touch(sql, name, str(reference), "distribution_manifest")
    if row is None:
        return None
    pk, _, digest, media_type, size, payload, version = row
    return FoundManifest(pk, digest, media_type, size, bytes(payload or b""), version)


def repository(name: str) -> int | None:
    """Return the primary key of the repository called `name`, None when nothing was ever pushed there."""
    row = _REPOSITORY.row(name)
    return row[0] if row else None


def _find_and_touch(sql: str, name: str, wanted: str, table: str) -> Row | None:
    """Return the row, whose first columns are its key in `table` and whether its `last_used_at` is stale."""
    statement = last_used.statement(sql)
    deferred: int | None = None
    for attempt in range(ATTEMPTS + 1):
        row = statement.row(name, wanted)
        if row is None:
            return None
        # With a grace period of zero, a row that others touch again and again is stale at the last attempt too.
        if not row[1] or row[0] == deferred or attempt == ATTEMPTS:
            return row
        is_touched = last_used.touch(table, row[0])
        if is_touched:
            return row
        # Another request touched the row or the collector removed it: the next attempt tells. A row that is found after
        # its touch was deferred (None) is fenced from the collector.
        if is_touched is None:
            deferred = row[0]
    return None
