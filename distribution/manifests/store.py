"""Manifests: find, put, delete.

What a manifest names in its repository exists as rows: foreign keys say so. Every lock is taken before the
first write, in the order Repository → Tag → Manifest → Link, each kind by primary key in one statement.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError, in_use
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError
from core.failpoints import failpoint
from distribution import queries, repositories
from distribution.manifests import references, removal
from distribution.models import Manifest, ManifestChild, Repository, Tag, remove
from distribution.protocol.digest import Digest
from distribution.protocol.manifest_parser import ParsedManifest, parse_manifest
from distribution.protocol.references import Tag as TagName
from distribution.queries import FoundManifest
from distribution.storage import disk_reserve

_LOCK_TAGS = Statement("""
SELECT id, name, manifest_id FROM distribution_tag
WHERE repository_id = %s AND name = ANY(%s) ORDER BY id FOR UPDATE
""")
_LOCK_AROUND = Statement("""
SELECT id, digest, media_type, subject FROM distribution_manifest
WHERE repository_id = %s AND (digest = ANY(%s) OR subject = %s OR id = ANY(%s)) ORDER BY id FOR UPDATE
""")
_LOCK_LINKS = Statement("""
SELECT link.id, blob.digest FROM distribution_link link
JOIN distribution_blob blob ON blob.id = link.blob_id
WHERE link.repository_id = %s AND blob.digest = ANY(%s) AND NOT blob.is_corrupt ORDER BY link.id FOR UPDATE OF link
""")
_INSERT = Statement("""
INSERT INTO distribution_manifest (repository_id, digest, media_type, payload, size, subject, artifact_type,
    annotations, is_unreferenced, last_used_at, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, statement_timestamp(), statement_timestamp()) RETURNING id
""")
_PROMISE = Statement(
    "UPDATE distribution_manifest SET last_used_at = statement_timestamp(), is_unreferenced = %s WHERE id = %s"
)
_USE = Statement("""
INSERT INTO distribution_manifestblob (manifest_id, link_id)
SELECT %s, id FROM distribution_link WHERE id = ANY(%s) ON CONFLICT DO NOTHING
""")
_ADOPT = Statement("""
INSERT INTO distribution_manifestchild (parent_id, child_id)
SELECT %s, id FROM distribution_manifest WHERE id = ANY(%s)
""")
_HOLD_LINKS = Statement("UPDATE distribution_link SET is_unreferenced = FALSE WHERE is_unreferenced AND id = ANY(%s)")
_HOLD_MANIFESTS = Statement(
    "UPDATE distribution_manifest SET is_unreferenced = FALSE WHERE is_unreferenced AND id = ANY(%s)"
)
_MOVE_TAGS = Statement("""
UPDATE distribution_tag SET manifest_id = %s, updated_at = statement_timestamp() WHERE id = ANY(%s)
""")
_INSERT_TAG = Statement("""
INSERT INTO distribution_tag (repository_id, name, manifest_id, updated_at)
VALUES (%s, %s, %s, statement_timestamp())
""")
_LIST = Statement("UPDATE distribution_repository SET is_listed = TRUE WHERE id = %s")

# What is missing beyond these is counted: 20,000 entries would be an answer of four megabytes.
MISSING_LISTED = 1000


class _Tag(NamedTuple):
    """A locked tag."""

    pk: int
    name: str
    manifest_pk: int


class _Manifest(NamedTuple):
    """A locked manifest."""

    pk: int
    digest: str
    media_type: str
    subject: str | None


@dataclass(frozen=True, slots=True)
class Put:
    """A manifest on its way in, checked as far as its bytes alone tell."""

    name: RepositoryName
    digest: Digest
    payload: bytes
    parsed: ParsedManifest
    tags: tuple[TagName, ...]

    @property
    def subject(self) -> str | None:
        """The digest of the manifest it refers to."""
        return str(self.parsed.subject.digest) if self.parsed.subject else None

    @property
    def children(self) -> set[str]:
        """The digests of the manifests it lists."""
        return {str(child.digest) for child in self.parsed.children}

    @property
    def turns(self) -> set[str]:
        """The digests whose comers and referrers come one after the other."""
        return {str(self.digest)} | ({self.subject} if self.subject else set())

    @property
    def blobs(self) -> set[str]:
        """The digests of the blobs that must be in the repository."""
        return {str(blob.digest) for blob in self.parsed.blobs}

    @property
    def optional_blobs(self) -> set[str]:
        """The digests of blobs that may be elsewhere; one that is here is held all the same."""
        return {str(blob.digest) for blob in self.parsed.optional_blobs}


def find(name: RepositoryName, reference: Digest | TagName, *, with_payload: bool) -> FoundManifest:
    """Return the manifest, promised for half the grace period. Raises MANIFEST_UNKNOWN, NAME_UNKNOWN."""
    found = queries.manifest(name, reference, with_payload=with_payload)
    if found is None:
        raise unknown(name, str(reference))
    return found


def put(
    name: RepositoryName,
    payload: bytes,
    content_type: str | None,
    digest: Digest | None = None,
    tags: Sequence[TagName] = (),
) -> Put:
    """Store the manifest and move `tags` to it; `digest` is what the client says it has, None: sha256 of the payload.

    Raises MANIFEST_INVALID, DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN (one for each of MISSING_LISTED missing blobs);
    DENIED when the disk of the database, which has the payloads, is full.
    """
    disk_reserve.check_rows()
    actual = Digest.of(payload, digest.algorithm if digest else "sha256")
    if digest not in (None, actual):
        raise RegistryError(ErrorCode.DIGEST_INVALID, {"expected": str(digest), "actual": str(actual)})
    parsed = parse_manifest(payload, content_type)
    incoming = Put(name, actual, payload, parsed, tuple(dict.fromkeys(tags)))
    _put_twice(incoming)
    failpoint("manifest.after_put_commit")
    return incoming


def _put_twice(incoming: Put) -> None:
    """Look once more before saying that something is missing.

    Under READ COMMITTED a row that was removed and made again while this transaction waited for its lock is
    seen by neither look of the first attempt.
    """
    try:
        transactions.run(_put, incoming)
    except RegistryError as error:
        if error.code is not ErrorCode.MANIFEST_BLOB_UNKNOWN:
            raise
        transactions.run(_put, incoming)


def _put(incoming: Put) -> None:
    # A new referrer and its new subject would else not see each other, and the referrer look as if nothing held it.
    transactions.take_advisory_locks(*(f"{incoming.name} {digest}" for digest in incoming.turns))
    repository = repositories.ensure(incoming.name)
    tags = [_Tag(*row) for row in _LOCK_TAGS.rows(repository.pk, list(incoming.tags))] if incoming.tags else []
    around = _lock_around(incoming, repository, tags)
    links = {digest: pk for pk, digest in _LOCK_LINKS.rows(repository.pk, [*incoming.blobs, *incoming.optional_blobs])}
    _check_media_type(incoming, around)
    _check_complete(incoming, around, links)
    own = _write(incoming, repository, around, list(links.values()))
    _HOLD_LINKS.run(list(links.values()))
    held = incoming.children | {digest for digest, row in around.items() if row.subject == str(incoming.digest)}
    held.discard(str(incoming.digest))
    if held:
        _HOLD_MANIFESTS.run([around[digest].pk for digest in held])
    _move_tags(incoming, repository, own, tags)
    if not repository.is_listed:
        _LIST.run(repository.pk)
    failpoint("manifest.before_put_commit")


def _lock_around(incoming: Put, repository: Repository, tags: list[_Tag]) -> dict[str, _Manifest]:
    """Lock every manifest whose state this put changes: itself, children, subject, referrers, old targets of tags."""
    named = incoming.children | {str(incoming.digest)} | ({incoming.subject} if incoming.subject else set())
    targets = [tag.manifest_pk for tag in tags]
    rows = _LOCK_AROUND.rows(repository.pk, list(named), str(incoming.digest), targets)
    return {row[1]: _Manifest(*row) for row in rows}


def _check_media_type(incoming: Put, around: Mapping[str, _Manifest]) -> None:
    """Refuse to let bytes without a mediaType be one thing today and another tomorrow."""
    own = around.get(str(incoming.digest))
    if own is not None and own.media_type != incoming.parsed.media_type:
        message = f"this manifest is here already as {own.media_type}"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, message, message=message)


def _check_complete(incoming: Put, around: Mapping[str, _Manifest], links: Mapping[str, int]) -> None:
    missing = (incoming.children - around.keys()) | (incoming.blobs - links.keys())
    if missing:
        raise RegistryError.several(ErrorCode.MANIFEST_BLOB_UNKNOWN, _details(missing))


def _details(missing: Collection[str]) -> list[object]:
    details: list[object] = [{"digest": digest} for digest in sorted(missing)[:MISSING_LISTED]]
    if len(missing) > MISSING_LISTED:
        details.append(f"and {len(missing) - MISSING_LISTED} more")
    return details


def _write(incoming: Put, repository: Repository, around: Mapping[str, _Manifest], links: list[int]) -> int:
    """Insert the manifest, or promise it again when it is there; return its primary key."""
    own = around.get(str(incoming.digest))
    is_held = bool(incoming.tags) or incoming.subject in around
    if own is not None:
        _PROMISE.run(not (is_held or references.is_manifest_held(own.pk)), own.pk)
        # A blob that may be elsewhere can have come since the last time.
        _USE.run(own.pk, links)
        return own.pk
    pk = _insert(incoming, repository, is_unreferenced=not is_held)
    _USE.run(pk, links)
    if incoming.children:
        _ADOPT.run(pk, [around[digest].pk for digest in incoming.children])
    return pk


def _insert(incoming: Put, repository: Repository, *, is_unreferenced: bool) -> int:
    parsed = incoming.parsed
    return int(
        _INSERT.value(
            repository.pk,
            str(incoming.digest),
            parsed.media_type,
            incoming.payload,
            len(incoming.payload),
            incoming.subject,
            parsed.artifact_type or "",
            json.dumps(parsed.annotations),
            is_unreferenced,
        )
    )


def _move_tags(incoming: Put, repository: Repository, own: int, tags: list[_Tag]) -> None:
    if tags:
        _MOVE_TAGS.run(own, [tag.pk for tag in tags])
    moved = {tag.manifest_pk for tag in tags if tag.manifest_pk != own}
    if moved:
        references.release_manifests(moved)
    # Sorted: two puts of the same new tags would else wait for each other.
    for name in sorted({*incoming.tags} - {tag.name for tag in tags}):
        _INSERT_TAG.run(repository.pk, name, own)


def delete(name: RepositoryName, digest: Digest) -> None:
    """Remove the manifest and all its tags at once.

    Raises MANIFEST_UNKNOWN, NAME_UNKNOWN; DENIED, 409, with the parents' digests while an index lists it.
    """
    transactions.run_removal(_delete, name, digest)
    failpoint("manifest.after_delete_commit")


def _delete(name: RepositoryName, digest: Digest) -> None:
    row = (
        Manifest.objects.filter(repository__name=name, digest=str(digest)).only("pk", "digest", "repository_id").first()
    )
    if row is None:
        raise unknown(name, str(digest))
    tags = Tag.objects.filter(manifest=row)
    locked = set(tags.select_for_update().order_by("pk").values_list("pk", flat=True))
    family = removal.lock(row.pk, row.repository_id, row.digest)
    if row.pk not in family.pks:
        raise unknown(name, str(digest))
    if not family.is_complete or set(tags.values_list("pk", flat=True)) - locked:
        raise LostRaceError("a tag, child or referrer came in between")
    _check_no_parent(row)
    remove(Tag.objects.filter(pk__in=locked))
    removal.remove(family, ended_at=None)
    failpoint("manifest.before_delete_commit")


def _check_no_parent(row: Manifest) -> None:
    parents = list(ManifestChild.objects.filter(child=row).values_list("parent__digest", flat=True)[:100])
    if parents:
        raise in_use("an index lists this manifest: delete the index first", "parents", sorted(parents))


def unknown(name: RepositoryName, reference: str) -> RegistryError:
    """Return the 404 for a manifest: of its repository when nothing was ever pushed there."""
    if queries.repository(name) is not None:
        return RegistryError(ErrorCode.MANIFEST_UNKNOWN, {"name": name, "reference": reference})
    return RegistryError(ErrorCode.NAME_UNKNOWN, {"name": name})
