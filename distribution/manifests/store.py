"""Manifests: find, put, delete.

Foreign keys ensure that whatever a manifest names in its repository exists. Every lock is taken before the first
write, in the order Repository → Tag → Manifest → Link, each kind by primary key in one statement.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from acl.actions import PUSH
from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError, in_use
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError
from core.failpoints import failpoint
from distribution import queries, repositories
from distribution.announcements import changes
from distribution.manifests import history, missing, references, removal, tag_rights
from distribution.manifests.incoming import FETCHED_BY, Put, incoming_put, is_fetched_by
from distribution.manifests.tag_rights import WhoMay
from distribution.models import Manifest, ManifestChild, Tag, remove
from distribution.protocol.digest import Digest
from distribution.protocol.references import Tag as TagName
from distribution.queries import FoundManifest
from distribution.repositories import RepositoryRow
from distribution.usage.quotas import Room
from policies.immutability import Immutability
from webhooks.origin import COMMAND, Origin

# Without statistics SQLite would read the whole repository in the order of its index, rather than a few rows and sort
# them: hence `+ 0`, the union, and CROSS JOIN, which keeps the order of the tables. PostgreSQL looks again at a row
# that was changed while it waited for its lock, and would not find it in a union: hence the array, which is made once.
_LOCK_TAGS = Statement("""
SELECT id, name, manifest_id, pushed_by FROM distribution_tag
WHERE repository_id = %s AND name = ANY(%s) ORDER BY id + 0 FOR UPDATE
""")
_LOCK_AFFECTED = Statement("""
SELECT id, digest, media_type, subject, missing IS NOT NULL FROM distribution_manifest WHERE id = ANY(ARRAY(
    SELECT id FROM distribution_manifest WHERE repository_id = %s AND digest = ANY(%s)
    UNION ALL SELECT id FROM distribution_manifest WHERE repository_id = %s AND subject = %s
    UNION ALL SELECT id FROM distribution_manifest WHERE id = ANY(%s)
)) ORDER BY id FOR UPDATE
""")
_LOCK_LINKS = Statement("""
SELECT link.id, blob.digest FROM distribution_blob blob CROSS JOIN distribution_link link
WHERE blob.digest = ANY(%s) AND NOT blob.is_corrupt AND link.blob_id = blob.id AND link.repository_id = %s
ORDER BY link.id FOR UPDATE OF link
""")
_INSERT = Statement("""
INSERT INTO distribution_manifest (repository_id, digest, media_type, payload, size, subject, artifact_type,
    annotations, is_unreferenced, pushed_by, last_used_at, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, statement_timestamp(), statement_timestamp()) RETURNING id
""")
# What was fetched belongs to whoever pushes it.
_TOUCH = Statement("""
UPDATE distribution_manifest SET last_used_at = statement_timestamp(), is_unreferenced = %s,
    pushed_by = CASE WHEN pushed_by LIKE %s THEN %s ELSE pushed_by END WHERE id = %s
""")
_REFERENCE_BLOBS = Statement("""
INSERT INTO distribution_manifestblob (manifest_id, link_id)
SELECT %s, id FROM distribution_link WHERE id = ANY(%s) ON CONFLICT DO NOTHING
""")
_REFERENCE_CHILDREN = Statement("""
INSERT INTO distribution_manifestchild (parent_id, child_id)
SELECT %s, id FROM distribution_manifest WHERE id = ANY(%s) ON CONFLICT DO NOTHING
""")
_MARK_LINKS_REFERENCED = Statement(
    "UPDATE distribution_link SET is_unreferenced = FALSE WHERE is_unreferenced AND id = ANY(%s)"
)
_MARK_MANIFESTS_REFERENCED = Statement(
    "UPDATE distribution_manifest SET is_unreferenced = FALSE WHERE is_unreferenced AND id = ANY(%s)"
)
_MOVE_TAGS = Statement("""
UPDATE distribution_tag SET manifest_id = %s, pushed_by = %s, updated_at = statement_timestamp() WHERE id = ANY(%s)
""")
_INSERT_TAG = Statement("""
INSERT INTO distribution_tag (repository_id, name, manifest_id, pushed_by, updated_at)
VALUES (%s, %s, %s, %s, statement_timestamp())
""")
_LIST = Statement("UPDATE distribution_repository SET is_listed = TRUE WHERE id = %s")

# Further missing digests are only counted: 20,000 entries would be an answer of four megabytes.
MISSING_LISTED = 1000


class _Tag(NamedTuple):
    """A locked tag."""

    pk: int
    name: str
    manifest_pk: int
    pushed_by: str | None


class _Manifest(NamedTuple):
    """A locked manifest."""

    pk: int
    digest: str
    media_type: str
    subject: str | None
    is_incomplete: bool


def find(name: RepositoryName, reference: Digest | TagName, *, with_payload: bool) -> FoundManifest:
    """Return the manifest, which then stays for half the grace period. Raises MANIFEST_UNKNOWN, NAME_UNKNOWN."""
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
    *,
    account: str,
    version: str | None = None,
    rules: WhoMay,
    origin: Origin = COMMAND,
) -> Put:
    """Store the manifest and move `tags` to it; `digest` is the client's, None means the sha256 of the payload.

    The policies are those of the permissions `version`, None: the current one.
    Raises MANIFEST_INVALID, DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN (one for each of MISSING_LISTED missing blobs);
    DENIED for a tag that `rules` do not allow, when the disk of the database, which has the payloads, is full, and 409
    for an immutable tag that is set.
    """
    tag_rights.require(rules, account, name, PUSH, tags)
    incoming = incoming_put(
        name,
        payload,
        content_type,
        digest,
        tags,
        account=account,
        origin=origin,
        room=Room.of(name, version),
    )
    try:
        transactions.run(_put, incoming)
    except RegistryError as error:
        if error.code is not ErrorCode.MANIFEST_BLOB_UNKNOWN:
            raise
        # Under READ COMMITTED the first attempt misses a row that was removed and made again while it waited for that
        # row's lock.
        transactions.run(_put, incoming)
    failpoint("manifest.after_put_commit")
    return incoming


def keep_fetched(
    name: RepositoryName,
    payload: bytes,
    content_type: str | None,
    digest: Digest,
    tags: Sequence[TagName],
    *,
    account: str,
) -> None:
    """Store a manifest of an upstream and move `tags` to it, although what it names may be missing.

    That is no push: neither quotas nor read-only mode count, and no webhook is told. Raises MANIFEST_INVALID,
    DIGEST_INVALID, DENIED when the disk is full, and 409 for a tag that is immutable or was pushed here.
    """
    by: Any = {"account": account, "origin": COMMAND, "room": Room.without_limits(name)}
    incoming = incoming_put(name, payload, content_type, digest, tags, is_fetched=True, **by)
    transactions.run(_put, incoming)


def _put(incoming: Put) -> None:
    # Otherwise concurrent puts of a referrer and its subject miss each other, and the referrer looks unreferenced.
    related = [incoming.digest, incoming.subject] if incoming.subject else [incoming.digest]
    name = incoming.name
    incoming.room.lock()
    fetched = [missing.lock_name(name)] if incoming.is_fetched else missing.lock_names(name, incoming.room.version)
    transactions.take_advisory_locks(*fetched, *(f"{name} {digest}" for digest in related))
    repository = repositories.ensure_row(name)
    version = repository.permissions_version
    # As of now: the body may have taken minutes.
    policies_of = Immutability.of if incoming.is_fetched else Immutability.of_push
    immutability, room = policies_of(name, version), incoming.room.at(version)
    tags = [_Tag(*row) for row in _LOCK_TAGS.rows(repository.pk, list(incoming.tags))] if incoming.tags else []
    # The manifest itself, its children, subject and referrers, and the manifests that the tags name so far.
    named = [*incoming.children, *related]
    awaiting = missing.awaiting(repository.pk, incoming.digest) if repository.has_incomplete else []
    tagged = [tag.manifest_pk for tag in tags]
    rows = _LOCK_AFFECTED.rows(repository.pk, named, repository.pk, incoming.digest, tagged + awaiting)
    affected = {row[1]: _Manifest(*row) for row in rows}
    # Read before they were locked: some may be gone.
    awaiting = [row.pk for row in affected.values() if row.pk in awaiting]
    links = {digest: pk for pk, digest in _LOCK_LINKS.rows([*incoming.blobs, *incoming.optional_blobs], repository.pk)}
    _check(incoming, affected, links)
    digests = {row.pk: row.digest for row in affected.values()}
    for tag in tags:
        if digests[tag.manifest_pk] != incoming.digest:
            # What came from an upstream must not keep a push out.
            if incoming.is_fetched or not is_fetched_by(tag.pushed_by):
                immutability.require_movable(tag.name)
            if incoming.is_fetched and not is_fetched_by(tag.pushed_by):
                message = f"the tag {tag.name} of {name} was pushed here, and stays as it is"
                raise RegistryError(ErrorCode.DENIED, message, status=409, message=message)
    own = _write(incoming, repository, affected, links, awaiting)
    if links:
        _MARK_LINKS_REFERENCED.run(list(links.values()))
    referrers = {digest for digest, row in affected.items() if row.subject == incoming.digest}
    if referenced := (incoming.children & affected.keys() | referrers) - {incoming.digest}:
        _MARK_MANIFESTS_REFERENCED.run([affected[digest].pk for digest in referenced])
    _move_tags(incoming, repository, own, tags, digests)
    if created := len(incoming.tags) - len(tags):
        room.tags_added(created)
    if not repository.is_listed:
        _LIST.run(repository.pk)
    if not incoming.is_fetched:
        _announce(incoming)
    failpoint("manifest.before_put_commit")


def _announce(incoming: Put) -> None:
    changes.manifest_pushed(
        incoming.name,
        incoming.account,
        incoming.origin,
        digest=incoming.digest,
        tags=incoming.tags,
        media_type=incoming.parsed.media_type,
        size=len(incoming.payload),
    )


def _check(incoming: Put, affected: Mapping[str, _Manifest], links: Mapping[str, int]) -> None:
    own = affected.get(incoming.digest)
    # Without a mediaType in the bytes, only the header decides what they are.
    if own is not None and own.media_type != incoming.parsed.media_type:
        message = f"manifest already exists with media type {own.media_type}"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, message, message=message)
    lacking = (incoming.children - affected.keys()) | (incoming.blobs - links.keys())
    if lacking and not incoming.is_fetched:
        details: list[object] = [{"digest": digest} for digest in sorted(lacking)[:MISSING_LISTED]]
        if len(lacking) > MISSING_LISTED:
            details.append(f"and {len(lacking) - MISSING_LISTED} more")
        raise RegistryError.several(ErrorCode.MANIFEST_BLOB_UNKNOWN, details)


def _write(
    incoming: Put,
    repository: RepositoryRow,
    affected: Mapping[str, _Manifest],
    links: Mapping[str, int],
    awaiting: list[int],
) -> int:
    """Insert the manifest, or touch it when it exists; return its primary key."""
    own = affected.get(incoming.digest)
    is_referenced = bool(incoming.tags or awaiting) or incoming.subject in affected
    if own is not None:
        is_unreferenced = not (is_referenced or references.is_manifest_referenced(own.pk))
        _TOUCH.run(is_unreferenced, f"{FETCHED_BY}%", incoming.account, own.pk)
        pk = own.pk
    else:
        pk = _insert(incoming, repository, is_referenced=is_referenced)
    # Those of a manifest that exists too: an optional blob may have been pushed since the last put.
    _REFERENCE_BLOBS.run(pk, list(links.values()))
    if incoming.children and (own is None or own.is_incomplete):
        children = [affected[digest].pk for digest in incoming.children if digest in affected]
        _REFERENCE_CHILDREN.run(pk, children)
    if incoming.is_fetched or (own is not None and own.is_incomplete):
        missing.set_of(pk, (incoming.children - affected.keys()) | (incoming.blobs - links.keys()))
    missing.child_arrived(awaiting, pk, incoming.digest)
    return pk


def _insert(incoming: Put, repository: RepositoryRow, *, is_referenced: bool) -> int:
    parsed = incoming.parsed
    return int(
        _INSERT.value(
            repository.pk,
            incoming.digest,
            parsed.media_type,
            incoming.payload,
            len(incoming.payload),
            incoming.subject,
            parsed.artifact_type or "",
            json.dumps(parsed.annotations),
            not is_referenced,
            incoming.account,
        )
    )


def _move_tags(
    incoming: Put, repository: RepositoryRow, own: int, tags: list[_Tag], digests: Mapping[int, str]
) -> None:
    """Move `tags`, which are locked, create the others, and record both; `digests` are by primary key."""
    if tags:
        _MOVE_TAGS.run(own, incoming.account, [tag.pk for tag in tags])
    moved = [tag for tag in tags if tag.manifest_pk != own]
    references.release_manifests({tag.manifest_pk for tag in moved})
    # Sorted, to prevent a deadlock of two puts of the same new tags.
    created = sorted({*incoming.tags} - {tag.name for tag in tags})
    for name in created:
        _INSERT_TAG.run(repository.pk, name, own, incoming.account)
    before = [(tag.name, digests[tag.manifest_pk]) for tag in moved] + [(name, "") for name in created]
    history.record_moves(incoming.name, before, incoming.digest, incoming.account)


def delete(
    name: RepositoryName,
    digest: Digest,
    *,
    account: str,
    rules: WhoMay,
    expected: Callable[[], bool] | None = None,
    is_overridden: bool = False,
    origin: Origin = COMMAND,
) -> int:
    """Remove the manifest and all its tags at once, and return how many; `is_overridden` sets immutability aside.

    `expected` tells, once they are locked, whether they are in the state that the client has seen. Raises
    MANIFEST_UNKNOWN, NAME_UNKNOWN; DENIED if `rules` do not allow it for each of the tags, 409, with the parents'
    digests, while an index lists it, 412 when its state is not `expected`.
    """
    by: Any = {"account": account, "rules": rules, "is_overridden": is_overridden, "origin": origin}
    tags = transactions.run_removal(_delete, name, digest, expected=expected, **by)
    failpoint("manifest.after_delete_commit")
    return tags


def _delete(
    name: RepositoryName,
    digest: Digest,
    *,
    account: str,
    rules: WhoMay,
    expected: Callable[[], bool] | None,
    is_overridden: bool,
    origin: Origin,
) -> int:
    immutability = Immutability.of_removal(name, is_overridden=is_overridden)
    room = Room.of(name)
    room.lock()
    row = (
        Manifest.objects.filter(repository__name=name, digest=str(digest)).only("pk", "digest", "repository_id").first()
    )
    if row is None:
        raise unknown(name, str(digest))
    tags = Tag.objects.filter(manifest=row)
    locked = set(tags.select_for_update().order_by("pk").values_list("pk", flat=True))
    removal_set = removal.lock(row.pk, row.repository_id, row.digest)
    if row.pk not in removal_set.pks:
        raise unknown(name, str(digest))
    if not removal_set.is_complete or set(tags.values_list("pk", flat=True)) - locked:
        raise LostRaceError("a tag, child or referrer came in between")
    # After the lock: the tags stay these.
    tag_rights.require_deletion(rules, account, name, lambda: tags.order_by("name").values_list("name", flat=True))
    if expected is not None and not expected():
        raise RegistryError(ErrorCode.DENIED, status=412, message="the manifest or its tags have changed meanwhile")
    parents = list(ManifestChild.objects.filter(child=row).values_list("parent__digest", flat=True)[:100])
    if parents:
        raise in_use("an index lists this manifest: delete the index first", "parents", sorted(parents))
    immutability.require_deletable(tags.values_list("name", flat=True))
    deleted = changes.tags_before_deletion(list(locked), origin)
    history.record_deletions(list(locked), account)
    remove(Tag.objects.filter(pk__in=locked))
    room.tags_removed(len(locked))
    removal.remove(removal_set, ended_at=None)
    changes.tags_deleted(deleted, account, origin)
    changes.manifest_deleted(name, account, origin, row.digest)
    failpoint("manifest.before_delete_commit")
    return len(locked)


def unknown(name: RepositoryName, reference: str) -> RegistryError:
    """Return the 404 for a manifest, or for its repository when that does not exist."""
    if queries.repository(name) is not None:
        return RegistryError(ErrorCode.MANIFEST_UNKNOWN, {"name": name, "reference": reference})
    return RegistryError(ErrorCode.NAME_UNKNOWN, {"name": name})
