"""Blobs: find, open, mount, link, delete."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from acl.name_range import covers
from acl.names import RepositoryName
from acl.rules import IdentityRules
from core.api.errors import ErrorCode, RegistryError, in_use, unavailable
from core.caches import TTLCache
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError, release_connection
from core.failpoints import failpoint
from distribution import deferred_writes, queries, repositories
from distribution.announcements import changes
from distribution.manifests import missing
from distribution.models import Blob, Link, ManifestBlob
from distribution.protocol.digest import Digest
from distribution.queries import FoundBlob
from distribution.repositories import RepositoryRow
from distribution.storage import disk_reserve, trash
from distribution.storage.blob_store import MissingObjectError, blob_store, check_storage
from distribution.storage.stored_content import Content
from distribution.usage.quotas import Room
from policies import read_only
from policies.immutability import Immutability
from webhooks.origin import COMMAND, Origin

logger = logging.getLogger(__name__)

# A 200 to HEAD promises that the row is sound, and that the storage had the whole object within this time. A GET opens
# the object, so it notices at once what was lost since then; so does a push that sends the blob (`mark_if_lost`).
CONFIRMED_SECONDS = 60
_confirmed: TTLCache[bool] = TTLCache(CONFIRMED_SECONDS)
_LOST = "object of a blob %s"

_FIND_SOUND = Statement("SELECT id, digest, size, key FROM distribution_blob WHERE digest = %s AND NOT is_corrupt")
# Few clients mount without naming a source: of a blob that more repositories link, only this many are examined. Every
# valid name sorts after "!", with which the names of deleted repositories begin (`deletion`).
MAX_SOURCES = 1000
_SOURCES = Statement("""
SELECT repository.name FROM (
    SELECT repository_id FROM distribution_link
    WHERE blob_id = (SELECT id FROM distribution_blob WHERE digest = %s AND NOT is_corrupt)
    ORDER BY repository_id DESC LIMIT %s
) linked
JOIN distribution_repository repository ON repository.id = linked.repository_id
WHERE repository.name >= '"'
""")
_LOCK = Statement("SELECT id, key, is_corrupt FROM distribution_blob WHERE digest = %s FOR UPDATE")
_INSERT = Statement("""
INSERT INTO distribution_blob (digest, size, key, is_corrupt, created_at)
VALUES (%s, %s, %s, FALSE, statement_timestamp()) ON CONFLICT (digest) DO NOTHING RETURNING id
""")
_HEAL = Statement("UPDATE distribution_blob SET key = %s, size = %s, is_corrupt = FALSE WHERE id = %s")
_MARK_CORRUPT = Statement("UPDATE distribution_blob SET is_corrupt = TRUE WHERE id = %s AND key = %s")
_LOCK_LINK = Statement("SELECT id FROM distribution_link WHERE repository_id = %s AND blob_id = %s FOR UPDATE")
_INSERT_LINK = Statement("""
INSERT INTO distribution_link (repository_id, blob_id, last_used_at, is_unreferenced)
VALUES (%s, %s, statement_timestamp(), TRUE)
""")
_TOUCH_LINK = Statement("UPDATE distribution_link SET last_used_at = statement_timestamp() WHERE id = %s")
_REMOVE_LINK = Statement("DELETE FROM distribution_link WHERE id = %s")
_IS_LINKED = Statement("SELECT EXISTS (SELECT 1 FROM distribution_link WHERE blob_id = %s)")
_REMOVE = Statement("DELETE FROM distribution_blob WHERE id = %s")


def find(name: RepositoryName, digest: Digest, *, is_asked: bool = False) -> FoundBlob:
    """Return the blob, which then stays for half the grace period. Raises BLOB_UNKNOWN, UNAVAILABLE.

    With `is_asked` the storage is, however recently it has confirmed the object.
    """
    found = queries.blob(name, digest)
    if found is None:
        raise RegistryError(ErrorCode.BLOB_UNKNOWN, {"digest": str(digest)})
    if loss := _loss_of(found) if is_asked else _recent_loss_of(found):
        # Refused: the client would not push the bytes again.
        raise _broken(found, loss)
    return found


def open_at(found: FoundBlob, offset: int = 0, size: int | None = None) -> IO[bytes]:
    """Open the blob at `offset`, for at most `size` bytes. Raises UNAVAILABLE when its object is missing or short."""
    store = blob_store()
    with _storage_faults(found):
        try:
            file = store.open_at(found.key, offset, size)
        except MissingObjectError:
            check_storage()
            loss = "is missing"
        else:
            actual = os.fstat(file.fileno()).st_size if store.is_disk else found.size
            if actual == found.size:
                return file
            file.close()
            loss = f"has {actual} bytes instead of {found.size}"
    raise _broken(found, loss)


def redirect_url(found: FoundBlob) -> str | None:
    """Return a temporary URL of the blob, None when the registry has to serve it. Raises UNAVAILABLE.

    Signing it may ask another service for credentials.
    """
    release_connection()
    with _storage_faults(found):
        return blob_store().redirect_url(found.key)


def mark_if_lost(digest: Digest) -> None:
    """Mark the blob corrupt when its object is missing or short, so that the current push heals it."""
    row = _FIND_SOUND.row(str(digest))
    if row is None:
        return
    found = FoundBlob(*row)
    try:
        loss = _loss_of(found)
    except RegistryError:
        return
    if loss:
        logger.error(_LOST, loss, extra={"digest": found.digest, "key": found.key})
        # Not deferred: otherwise the push takes the blob for sound, and discards its own bytes.
        mark_corrupt(found.pk, found.key)


def _recent_loss_of(found: FoundBlob) -> str:
    """Return the same as `_loss_of`, but do not ask a storage that had the object within CONFIRMED_SECONDS."""
    if _confirmed.get(found.key):
        return ""
    loss = _loss_of(found)
    if not loss:
        _confirmed.put(found.key, True)
    return loss


def _loss_of(found: FoundBlob) -> str:
    """Return what is wrong with the blob's object, "" if nothing. Raises UNAVAILABLE when the storage fails."""
    release_connection()
    with _storage_faults(found):
        try:
            size = blob_store().size(found.key)
            loss = "" if size == found.size else f"has {size} bytes instead of {found.size}"
        except MissingObjectError:
            loss = "is missing"
        if loss:
            # A storage that is not mounted lacks every object: that is no reason to mark them corrupt.
            check_storage()
    return loss


@contextmanager
def _storage_faults(found: FoundBlob) -> Iterator[None]:
    """Translate whatever the storage raises to UNAVAILABLE."""
    try:
        yield
    except Exception as error:
        logger.exception("the storage did not answer", extra={"key": found.key})
        raise unavailable("the storage does not answer") from error


def _broken(found: FoundBlob, loss: str) -> RegistryError:
    """Mark the blob corrupt, now or as soon as the database can be written, and return the 503."""
    logger.error(_LOST, loss, extra={"digest": found.digest, "key": found.key})
    _confirmed.put(found.key, False)
    deferred_writes.write(_MARK_CORRUPT, found.pk, found.key)
    return unavailable(f"the bytes of {found.digest} can't be read; pushing them again heals the blob")


def mark_corrupt(pk: int, key: str) -> None:
    """Answer 404 for the blob until a push heals it, unless it no longer has `key`. Raises UNAVAILABLE."""
    transactions.run(_MARK_CORRUPT.run, pk, key)


def source_of(digest: Digest, rules: IdentityRules) -> RepositoryName | None:
    """Return a repository that links the blob and may be pulled, None when there is none among MAX_SOURCES."""
    ranges = rules.ranges("pull")
    for (name,) in _SOURCES.rows(str(digest), MAX_SOURCES):
        if covers(ranges, name) and "pull" in rules.actions_on(name):
            return RepositoryName(name)
    return None


def mount(
    name: RepositoryName,
    digest: Digest,
    source: RepositoryName,
    *,
    account: str = "",
    version: str | None = None,
    origin: Origin = COMMAND,
) -> bool:
    """Link the blob of `source` into `name`; False when `source` has no such sound blob.

    Raises DENIED when the disk of the database is full.
    """
    disk_reserve.check_rows()
    found = queries.blob(source, digest)
    if found is None:
        return False
    try:
        loss = _loss_of(found)
    except RegistryError:
        return False
    if loss:
        # Marked corrupt, the blob is healed by the upload that follows.
        _broken(found, loss)
        return False
    is_mounted = transactions.run(
        _mount, name, digest, source, room=Room.of(name, version), account=account, origin=origin
    )
    failpoint("mount.after_commit")
    return is_mounted


def _mount(
    name: RepositoryName, digest: Digest, source: RepositoryName, *, room: Room, account: str, origin: Origin
) -> bool:
    room.lock()
    transactions.take_advisory_locks(*missing.lock_names(name, room.version))
    repository = repositories.ensure_row(name)
    read_only.require_writable(name, repository.permissions_version)
    awaiting = missing.lock_awaiting(repository.pk, str(digest)) if repository.has_incomplete else []
    # The lock of the blob's row orders all changes of its links.
    blob = Blob.objects.select_for_update().filter(digest=str(digest), is_corrupt=False).first()
    if blob is None or not Link.objects.filter(repository__name=source, blob=blob).exists():
        return False
    if link_into(repository.pk, blob.pk):
        room.at(repository.permissions_version).blob_linked(blob.pk, blob.size)
    missing.blob_arrived(repository.pk, awaiting, str(digest))
    changes.blob_mounted(name, account, origin, str(digest), source)
    failpoint("mount.before_commit")
    return True


def publish(repository: RepositoryRow, content: Content, room: Room) -> None:
    """Make the content a blob of the repository, and a reference of the manifests that await it.

    Raises LostRaceError; DENIED when `room`, which is locked, has none for a new link.
    """
    digest = str(content.digest)
    awaiting = missing.lock_awaiting(repository.pk, digest) if repository.has_incomplete else []
    _store(repository.pk, content, room)
    missing.blob_arrived(repository.pk, awaiting, digest)


def _store(repository_pk: int, content: Content, room: Room) -> None:
    """Link the content; if the blob exists, heal it or discard the content.

    Most are new, so the insertion comes first: on PostgreSQL it waits for another one of the same digest.
    """
    blob_pk = _INSERT.value(str(content.digest), content.size, content.key)
    if blob_pk is not None:
        link_into(repository_pk, blob_pk, is_new=True)
        room.blob_linked(blob_pk, content.size, is_new=True)
        return
    row = _LOCK.row(str(content.digest))
    if row is None:
        raise LostRaceError("the blob was removed again")
    blob_pk, key, is_corrupt = row
    if is_corrupt:
        _HEAL.run(content.key, content.size, blob_pk)
    trash.put([key if is_corrupt else content.key])
    if link_into(repository_pk, blob_pk):
        room.blob_linked(blob_pk, content.size)


def link_into(repository_pk: int, blob_pk: int, *, is_new: bool = False) -> bool:
    """Link a blob, whose row the caller has locked, into the repository, or touch the link; return whether it is new.

    Nothing links a blob that `is_new` in this transaction.
    """
    link_pk = None if is_new else _LOCK_LINK.value(repository_pk, blob_pk)
    if link_pk is None:
        _INSERT_LINK.run(repository_pk, blob_pk)
    else:
        _TOUCH_LINK.run(link_pk)
    return link_pk is None


def delete(name: RepositoryName, digest: Digest, *, account: str = "", origin: Origin = COMMAND) -> None:
    """Unlink the blob from the repository. Raises BLOB_UNKNOWN; DENIED, 409, while a manifest there uses it."""
    transactions.run_removal(_delete, name, digest, account, origin)
    failpoint("blob.after_delete_commit")


def _delete(name: RepositoryName, digest: Digest, account: str, origin: Origin) -> None:
    Immutability.of_removal(name).require_deletable()
    room = Room.of(name)
    room.lock()
    blob = Blob.objects.select_for_update().filter(digest=str(digest)).first()
    link = (
        Link.objects.select_for_update(of=("self",)).filter(repository__name=name, blob=blob).first() if blob else None
    )
    if blob is None or link is None:
        raise RegistryError(ErrorCode.BLOB_UNKNOWN, {"digest": str(digest)})
    users = ManifestBlob.objects.filter(link=link).order_by("pk").values_list("manifest__digest", flat=True)[:10]
    if users:
        raise in_use("a manifest names this blob: delete the manifest first", "manifests", list(users))
    is_last = unlink(link.pk, blob.pk, blob.key)
    room.blob_unlinked(blob.pk, blob.size, is_last=is_last)
    changes.blob_deleted(name, account, origin, str(digest))
    failpoint("blob.before_delete_commit")


def unlink(link_pk: int, blob_pk: int, key: str) -> bool:
    """Remove the link, and with the last one the blob and its object `key`; return whether it was the last.

    The caller has locked both rows.
    """
    _REMOVE_LINK.run(link_pk)
    if _IS_LINKED.value(blob_pk):
        return False
    trash.put([key])
    _REMOVE.run(blob_pk)
    return True
