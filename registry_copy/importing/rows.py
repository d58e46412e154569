"""The one transaction of a batch: blobs, links, manifests and tags appear together, or none of them.

The repository's row is locked against everything that adds to it, then locks follow the order of all verbs: Tag →
Manifest → Blob → Link. What the batch counts on may have been removed since it was read: VanishedError.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from acl.names import RepositoryName
from core.api.errors import RegistryError
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError
from core.failpoints import failpoint
from distribution import repositories
from distribution.manifests import missing, references
from distribution.manifests.incoming import FETCHED_BY
from distribution.models import TagMove
from distribution.storage import trash
from distribution.usage.quotas import Room
from policies.immutability import Immutability
from registry_copy.errors import VanishedError
from registry_copy.importing.batch import SourceTag
from registry_copy.importing.manifest import SourceManifest
from registry_copy.objects import NewObject

_LOCK_REPOSITORY = Statement("SELECT id FROM distribution_repository WHERE name = %s FOR UPDATE")
_LOCK_TAGS = Statement("""
SELECT name, id, manifest_id, updated_at FROM distribution_tag
WHERE repository_id = %s AND name = ANY(%s) ORDER BY id FOR UPDATE
""")
_DELETED_TAGS = Statement("""
SELECT tag, max(moved_at) FROM distribution_tagmove
WHERE repository = %s AND tag = ANY(%s) AND new_digest = '' GROUP BY tag
""")
_LOCK_MANIFESTS = Statement("""
SELECT id, digest, subject, missing FROM distribution_manifest
WHERE repository_id = %s AND (digest = ANY(%s) OR subject = ANY(%s) OR id = ANY(%s)) ORDER BY id FOR UPDATE
""")
_INSERT_BLOB = Statement("""
INSERT INTO distribution_blob (digest, size, key, is_corrupt, created_at)
VALUES (%s, %s, %s, FALSE, statement_timestamp()) ON CONFLICT (digest) DO NOTHING RETURNING id
""")
_LOCK_BLOBS = Statement("""
SELECT id, digest, key, is_corrupt, size FROM distribution_blob WHERE digest = ANY(%s) ORDER BY id FOR UPDATE
""")
_HEAL = Statement("UPDATE distribution_blob SET key = %s, size = %s, is_corrupt = FALSE WHERE id = %s")
# One that is due may be deleted by the collector just now.
_TAKE_OUT = Statement("""
DELETE FROM distribution_trash WHERE key = ANY(%s) AND delete_after > statement_timestamp()
""")
_LOCK_LINKS = Statement("""
SELECT blob_id, id FROM distribution_link WHERE repository_id = %s AND blob_id = ANY(%s) ORDER BY id FOR UPDATE
""")
_INSERT_LINK = Statement("""
INSERT INTO distribution_link (repository_id, blob_id, last_used_at, is_unreferenced)
VALUES (%s, %s, statement_timestamp(), %s) RETURNING id
""")
_TOUCH_LINKS = Statement("UPDATE distribution_link SET last_used_at = statement_timestamp() WHERE id = ANY(%s)")
_REFERENCED_LINKS = Statement(
    "UPDATE distribution_link SET is_unreferenced = FALSE WHERE is_unreferenced AND id = ANY(%s)"
)
_INSERT_MANIFEST = Statement("""
INSERT INTO distribution_manifest (repository_id, digest, media_type, payload, size, subject, artifact_type,
    annotations, is_unreferenced, last_used_at, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, statement_timestamp(), %s) RETURNING id
""")
_REFER_TO_BLOBS = Statement("""
INSERT INTO distribution_manifestblob (manifest_id, link_id)
SELECT %s, id FROM distribution_link WHERE id = ANY(%s) ON CONFLICT DO NOTHING
""")
_REFER_TO_CHILDREN = Statement("""
INSERT INTO distribution_manifestchild (parent_id, child_id)
SELECT %s, id FROM distribution_manifest WHERE id = ANY(%s) ON CONFLICT DO NOTHING
""")
_ADOPT = Statement("UPDATE distribution_manifest SET pushed_by = NULL WHERE pushed_by LIKE %s AND id = ANY(%s)")
_TOUCH_MANIFESTS = Statement("UPDATE distribution_manifest SET last_used_at = statement_timestamp() WHERE id = ANY(%s)")
_REFERENCED_MANIFESTS = Statement(
    "UPDATE distribution_manifest SET is_unreferenced = FALSE WHERE is_unreferenced AND id = ANY(%s)"
)
_INSERT_TAG = Statement("""
INSERT INTO distribution_tag (repository_id, name, manifest_id, updated_at) VALUES (%s, %s, %s, %s)
""")
_MOVE_TAG = Statement("UPDATE distribution_tag SET manifest_id = %s, pushed_by = NULL, updated_at = %s WHERE id = %s")
_LIST = Statement("""
UPDATE distribution_repository
SET is_listed = TRUE, pushed_at = greatest(COALESCE(pushed_at, %s::timestamptz), %s::timestamptz) WHERE id = %s
""")


@dataclass(frozen=True, slots=True)
class Insertion:
    """What is stored: `manifests` with children first; `blobs` to be linked, of which `objects` are new ones."""

    name: RepositoryName
    manifests: Sequence[SourceManifest]
    tags: Sequence[SourceTag]
    blobs: Sequence[str]
    objects: Mapping[str, NewObject]


@dataclass(slots=True)
class Stored:
    """What a transaction has stored; `kept` are tags that stay as they are here, and why."""

    blobs: int = 0
    bytes: int = 0
    links: int = 0
    manifests: int = 0
    tags: int = 0
    moved: int = 0
    kept: list[tuple[str, str]] = field(default_factory=list)


def store(insertion: Insertion) -> Stored:
    """Store a batch. Raises VanishedError, UNAVAILABLE."""
    stored = transactions.run(lambda: _Storing(insertion).run())
    failpoint("import.after_commit")
    return stored


class _Storing:
    """One attempt."""

    def __init__(self, given: Insertion) -> None:
        self._given, self._stored = given, Stored()
        self._repository = 0
        # What moves in is counted, and never refused.
        self._room = Room.without_limits(given.name)
        # By digest: primary keys.
        self._manifests: dict[str, int] = {}
        # What a fetch from an upstream has left incomplete, by primary key: the digests that it awaits.
        self._awaited: dict[int, set[str]] = {}
        self._links: dict[str, int] = {}
        # Tags as they were: primary key, and that of their manifest.
        self._tags: dict[str, tuple[int, int]] = {}

    def run(self) -> Stored:
        given = self._given
        self._room.lock()
        self._repository = _locked_repository(given.name)
        rows = {row[0]: row[1:] for row in _LOCK_TAGS.rows(self._repository, [tag.name for tag in given.tags])}
        before = self._lock_manifests([row[1] for row in rows.values()])
        self._tags = {name: (pk, manifest) for name, (pk, manifest, _) in rows.items()}
        wanted = self._wanted_tags({name: _moment(row[2]) for name, row in rows.items()}, before)
        self._link_blobs()
        referenced = self._referenced(wanted)
        self._insert_manifests(referenced)
        self._complete()
        self._set_tags(wanted, before)
        if given.manifests or wanted:
            pushed_at = max([one.pushed_at for one in given.manifests] + [tag.moved_at for tag in wanted])
            _LIST.run(pushed_at, pushed_at, self._repository)
        failpoint("import.before_commit")
        return self._stored

    def _lock_manifests(self, targets: list[int]) -> dict[int, str]:
        """Lock what the batch names, refers to or takes a tag from; return the digests by primary key."""
        given = self._given
        own = [str(one.digest) for one in given.manifests]
        named = {*own, *(tag.digest for tag in given.tags)}
        for one in given.manifests:
            named.update(one.children, [one.subject] if one.subject else [])
        targets = targets + missing.awaiting_any(self._repository, {*own, *given.blobs})
        rows = _LOCK_MANIFESTS.rows(self._repository, sorted(named), own, targets)
        self._manifests = {digest: pk for pk, digest, _, _ in rows}
        self._awaited = {pk: set(awaited.split()) for pk, _, _, awaited in rows if awaited}
        # Referrers that were here before their subject.
        _REFERENCED_MANIFESTS.run([pk for pk, _, subject, _ in rows if subject in own])
        return {pk: digest for pk, digest, _, _ in rows}

    def _wanted_tags(self, moved_here: Mapping[str, datetime], before: Mapping[int, str]) -> list[SourceTag]:
        """Return the tags to create or move, and count those that are newer here."""
        given = self._given
        names = [tag.name for tag in given.tags if tag.name not in moved_here]
        deleted_here = {tag: _moment(at) for tag, at in _DELETED_TAGS.rows(given.name, names)} if names else {}
        immutability = Immutability.of(given.name)
        wanted = []
        for tag in given.tags:
            if tag.name in moved_here and before[self._tags[tag.name][1]] == tag.digest:
                continue
            if tag.name in moved_here:
                reason = "it was moved here later" if moved_here[tag.name] > tag.moved_at else _fixed(immutability, tag)
            else:
                is_deleted = tag.name in deleted_here and deleted_here[tag.name] > tag.moved_at
                reason = "it was deleted here later" if is_deleted else ""
            if reason:
                self._stored.kept.append((tag.name, reason))
            else:
                wanted.append(tag)
        return wanted

    def _link_blobs(self) -> None:
        digests = list(self._given.blobs)
        if not digests:
            return
        blobs = self._ensure_blobs(digests)
        links: dict[int, int] = dict(_LOCK_LINKS.rows(self._repository, [blob for blob, _ in blobs.values()]))
        _TOUCH_LINKS.run(list(links.values()))
        used = {str(descriptor.digest) for one in self._given.manifests for descriptor, _ in one.blobs()}
        for digest, (blob, size) in blobs.items():
            if blob not in links:
                links[blob] = _INSERT_LINK.value(self._repository, blob, digest not in used)
                self._stored.links += 1
                self._room.blob_linked(blob, size)
        self._links = {digest: links[blob] for digest, (blob, _) in blobs.items()}
        _REFERENCED_LINKS.run([link for digest, link in self._links.items() if digest in used])

    def _ensure_blobs(self, digests: list[str]) -> dict[str, tuple[int, int]]:
        """Return primary key and size of the blobs by digest, all locked; take their objects from the trash."""
        objects = self._given.objects
        # Sorted, to prevent a deadlock with another import.
        new = [digest for digest in sorted(objects) if _insert_blob(digest, objects[digest])]
        found: dict[str, tuple[int, int]] = {}
        for pk, digest, key, is_corrupt, size in _LOCK_BLOBS.rows(digests):
            if is_corrupt and digest in objects:
                _HEAL.run(objects[digest].key, objects[digest].size, pk)
                trash.put([key])
                new.append(digest)
            elif is_corrupt:
                raise VanishedError(f"blob {digest} became unreadable here")
            found[digest] = pk, size
        if gone := set(digests) - found.keys():
            raise VanishedError(f"blob {min(gone)} was removed here meanwhile")
        if new and _TAKE_OUT.run([objects[digest].key for digest in new]) != len(new):
            raise VanishedError("the batch took too long: its objects are deleted")
        self._stored.blobs += len(new)
        self._stored.bytes += sum(objects[digest].size for digest in new)
        return found

    def _referenced(self, wanted: Sequence[SourceTag]) -> set[str]:
        """Return the digests of manifests to which the batch refers, or whose subject is here."""
        given = self._given
        here = self._manifests.keys() | {str(one.digest) for one in given.manifests}
        children = {child for one in given.manifests for child in one.children}
        referrers = {str(one.digest) for one in given.manifests if one.subject in here}
        return {tag.digest for tag in wanted} | children | referrers

    def _insert_manifests(self, referenced: set[str]) -> None:
        _REFERENCED_MANIFESTS.run([pk for digest, pk in self._manifests.items() if digest in referenced])
        # Until their tag is set, or their parent inserted, nothing else protects them.
        _TOUCH_MANIFESTS.run(list(self._manifests.values()))
        # Fetched from an upstream, they would go again when nobody pulls them.
        own = [self._manifests[str(one.digest)] for one in self._given.manifests if str(one.digest) in self._manifests]
        _ADOPT.run(f"{FETCHED_BY}%", own)
        for one in self._given.manifests:
            digest = str(one.digest)
            found = self._manifests.get(digest)
            if found is not None and found not in self._awaited:
                continue
            if gone := [child for child in one.children if child not in self._manifests]:
                raise VanishedError(f"manifest {gone[0]} was removed here meanwhile")
            pk = found or _insert_manifest(self._repository, one, is_referenced=digest in referenced)
            self._manifests[digest] = pk
            links = [self._links[str(one.digest)] for one, _ in one.blobs() if str(one.digest) in self._links]
            _REFER_TO_BLOBS.run(pk, links)
            if one.children:
                _REFER_TO_CHILDREN.run(pk, [self._manifests[child] for child in one.children])
            self._stored.manifests += 1

    def _complete(self) -> None:
        """Have the manifests that a fetch has left incomplete refer to what has come."""
        for pk, awaited in self._awaited.items():
            blobs, children = awaited & self._links.keys(), awaited & self._manifests.keys()
            if not blobs and not children:
                continue
            _REFER_TO_BLOBS.run(pk, links := [self._links[digest] for digest in blobs])
            _REFERENCED_LINKS.run(links)
            _REFER_TO_CHILDREN.run(pk, manifests := [self._manifests[digest] for digest in children])
            _REFERENCED_MANIFESTS.run(manifests)
            missing.set_of(pk, awaited - blobs - children)

    def _set_tags(self, wanted: Sequence[SourceTag], before: Mapping[int, str]) -> None:
        released, moves = set(), []
        for tag in sorted(wanted, key=lambda tag: tag.name):
            manifest, old = self._manifests.get(tag.digest), ""
            if manifest is None:
                raise VanishedError(f"manifest {tag.digest} was removed here meanwhile")
            if tag.name in self._tags:
                pk, target = self._tags[tag.name]
                _MOVE_TAG.run(manifest, tag.moved_at, pk)
                released.add(target)
                old = before[target]
                self._stored.moved += 1
            else:
                _INSERT_TAG.run(self._repository, tag.name, manifest, tag.moved_at)
                self._stored.tags += 1
            named: dict[str, Any] = {"repository": self._given.name, "tag": tag.name, "moved_at": tag.moved_at}
            moves.append(TagMove(**named, old_digest=old, new_digest=tag.digest))
        if self._stored.tags:
            self._room.tags_added(self._stored.tags)
        references.release_manifests(released)
        TagMove.objects.bulk_create(moves)


def _locked_repository(name: RepositoryName) -> int:
    pk = _LOCK_REPOSITORY.value(name)
    if pk is None:
        repositories.ensure_row(name)
        pk = _LOCK_REPOSITORY.value(name)
    if pk is None:
        raise LostRaceError("the repository was removed again")
    return int(pk)


def _insert_blob(digest: str, new: NewObject) -> bool:
    return _INSERT_BLOB.value(digest, new.size, new.key) is not None


def _insert_manifest(repository: int, one: SourceManifest, *, is_referenced: bool) -> int:
    parsed = one.parsed
    return int(
        _INSERT_MANIFEST.value(
            repository,
            str(one.digest),
            parsed.media_type,
            one.payload,
            len(one.payload),
            one.subject,
            parsed.artifact_type or "",
            json.dumps(parsed.annotations),
            not is_referenced,
            one.pushed_at,
        )
    )


def _fixed(immutability: Immutability, tag: SourceTag) -> str:
    """Return why a tag that is set may not move, empty if it may."""
    try:
        immutability.require_movable(tag.name)
    except RegistryError as error:
        return error.message
    return ""


def _moment(value: str | datetime) -> datetime:
    """Return a time of the database; from SQLite it comes without a zone, an aggregate as text."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)
