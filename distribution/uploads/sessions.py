"""Upload sessions: start, find, append, complete, cancel.

    bytes → fsync file → fsync folder → COMMIT → 201

A blob is published by a row that names an object, never by a rename or a copy: the same on a disk and in a cloud.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from http import HTTPStatus

from django.conf import settings
from django.db import Error
from django.db.models import Q

from accounts.identity import Identity
from acl.names import RepositoryName
from core.api.body import Body
from core.api.errors import ErrorCode, RegistryError
from core.caches import TTLCache
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import release_connection
from core.failpoints import failpoint
from distribution import blobs, repositories
from distribution.announcements import changes
from distribution.manifests import missing
from distribution.models import Link, Repository, Upload
from distribution.protocol.digest import Digest, new_hash
from distribution.storage import disk_reserve, trash
from distribution.storage.blob_store import blob_store
from distribution.storage.cloud import UnfinishedWrite
from distribution.storage.stored_content import Content
from distribution.uploads import chunks, small_blob
from distribution.uploads.assembly import assemble
from distribution.uploads.hashing_reader import read_to_end
from distribution.uploads.leases import Claim
from distribution.usage.quotas import Room
from policies import read_only
from webhooks.origin import COMMAND, Origin

RETRY_AFTER_SECONDS = 60
# From the last activity on: a session with bytes may be a push over a bad line that continues tomorrow.
EXPIRY = timedelta(hours=24)
EMPTY_EXPIRY = timedelta(hours=1)
# The `account_pk` of the sessions of this registry itself: no client finds them.
OWN = -1

logger = logging.getLogger(__name__)
# The clients whose refusal was logged in the last hour.
_logged_refusals: TTLCache[bool] = TTLCache(3600)

# Expired sessions do not count, whenever the collector removes them.
_OPEN = """
SELECT count(*) FROM (
    SELECT 1 FROM distribution_upload WHERE account_pk = %s AND network = %s
    AND ("offset" > 0 OR active_at > statement_timestamp() - interval '{seconds:.0f} seconds') LIMIT %s
) opened
"""
_COUNT_OPEN = Statement(_OPEN.format(seconds=EMPTY_EXPIRY.total_seconds()))
_INSERT = Statement("""
INSERT INTO distribution_upload
    (id, repository_id, account, account_pk, network, algorithm, "offset", started_at, active_at)
VALUES (%s, %s, %s, %s, %s, %s, 0, statement_timestamp(), statement_timestamp())
ON CONFLICT (id) DO NOTHING
""")
_FIND = Statement("""
SELECT upload.repository_id, upload.algorithm, upload."offset", (
    SELECT segment.key FROM distribution_segment segment
    WHERE segment.upload_id = upload.id AND upload."offset" = 0 AND upload.lease IS NULL AND segment.size IS NULL
    LIMIT 1
)
FROM distribution_upload upload
JOIN distribution_repository repository ON repository.id = upload.repository_id
WHERE upload.id = %s AND repository.name = %s AND upload.account_pk = %s
""")
# With the given lease, or without one while the session has none. A writer whose lease ran out may still write.
_REMOVE_COMPLETE = Statement("""
DELETE FROM distribution_upload
WHERE id = %s AND "offset" = %s AND (lease = %s OR (%s::uuid IS NULL AND lease IS NULL))
RETURNING assembly_key
""")
_REMOVE_SEGMENTS = Statement("DELETE FROM distribution_segment WHERE upload_id = %s RETURNING key, is_sealed")
_REMOVE = Statement("DELETE FROM distribution_upload WHERE id = %s")


def start(name: RepositoryName, owner: Identity, algorithm: str = "sha256", network: str = "") -> Upload:
    """Open a session of `owner` in the repository, which is created if missing.

    Anonymous sessions are counted by `network`; the session is not bound to it, since clients roam.
    Raises TOOMANYREQUESTS when account or network has `server.limits.uploads_per_account` open; DENIED while the disk
    has too little space.
    """
    disk_reserve.check()
    most = settings.REGISTRY.server.limits.uploads_per_account
    if _COUNT_OPEN.value(owner.account_pk, network, most) >= most:
        raise _too_many_open(owner, network, most)
    failpoint("upload.before_start")
    upload = _upload(uuid.uuid4(), owner.name, owner.account_pk, network, algorithm, 0)
    transactions.run(_open, upload, name)
    failpoint("upload.after_start")
    return upload


def _open(upload: Upload, name: RepositoryName) -> bool:
    """Insert the session; False when it exists: an earlier attempt may have been committed without an answer."""
    upload.repository = repositories.ensure(name)
    owner = (upload.account, upload.account_pk)
    is_new = bool(_INSERT.run(upload.pk, upload.repository_id, *owner, upload.network, upload.algorithm))
    if is_new:
        chunks.name_first(upload)
    return is_new


def start_fetch(name: RepositoryName, session: uuid.UUID, algorithm: str) -> Upload | None:
    """Open a session of this registry itself under a known id; None when it is open already, here or elsewhere.

    So one process fetches what several want. Raises DENIED while the disk has too little space.
    """
    disk_reserve.check()
    upload = _upload(session, "", OWN, "", algorithm, 0)
    return upload if transactions.run(_open, upload, name) else None


def find(name: RepositoryName, session: uuid.UUID, owner: Identity) -> Upload:
    """Return the session. Raises BLOB_UPLOAD_UNKNOWN, also for one of another repository or account.

    A new account under the name of a deleted one is another account.
    """
    row = _FIND.row(session, name, owner.account_pk)
    if row is None:
        raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, {"uuid": str(session)})
    repository_pk, algorithm, offset, first_key = row
    repository = Repository.from_db("default", ("id", "name"), (repository_pk, name))
    upload = _upload(session, owner.name, owner.account_pk, "", algorithm, offset)
    upload.repository, upload.first_key = repository, first_key
    return upload


def _upload(*values: object) -> Upload:
    """Return a session with these columns alone: the defaults of the others take four times as long."""
    return Upload.from_db("default", ("id", "account", "account_pk", "network", "algorithm", "offset"), values)


def was_opened(name: RepositoryName, session: uuid.UUID, owner: Identity, *, before: datetime) -> bool:
    """Return whether `owner` opened the session before that time."""
    rows = Upload.objects.filter(pk=session, repository__name=name, account_pk=owner.account_pk)
    return rows.filter(started_at__lt=before).exists()


def append(
    upload: Upload,
    body: Body,
    start: int | None = None,
    expected: int | None = None,
    *,
    version: str | None = None,
) -> None:
    """Append the body to the session at offset `start` (None: the session's own), and advance that offset.

    Quotas are those of the permissions `version`, None: the current one.
    Raises `chunks.conflict`, SIZE_INVALID, BLOB_UPLOAD_INVALID, and the session stays usable; what `admission.check`
    raises ends it.
    """
    upload.bound = Room.of(upload.repository.name, version).bound()
    with chunks.claiming(upload) as claim, _ended_when_refused(upload, body):
        received = chunks.receive(upload, claim, body, upload.offset if start is None else start, expected)
        chunks.count(upload, received)
    upload.offset += received.size


def complete(
    upload: Upload,
    body: Body,
    digest: Digest,
    start: int | None = None,
    expected: int | None = None,
    *,
    version: str | None = None,
    origin: Origin = COMMAND,
) -> Room:
    """Append the body, if any, publish the blob under `digest`, and return the room that it leaves.

    Quotas are those of the permissions `version`, and checked again at the version when the blob is published.

    Raises what `append` raises; DIGEST_INVALID when the bytes have another digest. That ends the session: no client
    can remove bytes from it, and its objects would take space for a day.
    """
    room = Room.of(upload.repository.name, version)
    upload.bound = room.bound(digest)
    with chunks.claiming(upload) as claim:
        with _ended_when_refused(upload, body):
            content = _content(upload, claim, body, digest, start=start, expected=expected)
        blobs.mark_if_lost(digest)
        with _ended_when_refused(upload, body):
            transactions.run(_publish, upload, content, room, origin)
    failpoint("upload.after_publish_commit")
    return room


@contextmanager
def _ended_when_refused(upload: Upload, body: Body) -> Iterator[None]:
    """End the session when its bytes can never become a blob, or when the disk needs their space."""
    try:
        yield
    except RegistryError as error:
        is_too_large = error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if is_too_large or error.code in (ErrorCode.DIGEST_INVALID, ErrorCode.DENIED):
            with suppress(RegistryError, Error):
                cancel(upload)
            release_connection()
            body.discard()
        raise


def receive_whole(
    name: RepositoryName,
    owner: Identity,
    body: Body,
    digest: Digest,
    network: str = "",
    *,
    version: str | None = None,
    origin: Origin = COMMAND,
) -> Room:
    """Publish the body under `digest`; an error leaves no session, which the client could not know of.

    Returns and raises what `complete` does.
    """
    upload = start(name, owner, digest.algorithm, network)
    try:
        return complete(upload, body, digest, version=version, origin=origin)
    except Exception:
        with suppress(RegistryError, Error):
            cancel(upload)
        raise


def abandoned_writes() -> Iterator[UnfinishedWrite]:
    """Yield the old writes to a cloud that no open upload continues: a slow client may need more than a day for one."""
    for write in blob_store().unfinished_writes(EXPIRY):
        names_it = Q(assembly_key=write.key) | Q(segments__key=write.key, segments__size__isnull=True)
        if not Upload.objects.filter(names_it).exists():
            yield write


def cancel(upload: Upload) -> None:
    """End the session and free its space; remove the repository if it is empty. Raises BLOB_UPLOAD_UNKNOWN."""
    keys = transactions.run_removal(_cancel, upload)
    failpoint("upload.after_cancel_commit")
    # The session has ended: the collector does what fails here.
    with suppress(RegistryError, Error, OSError):
        for key in trash.waiting(keys):
            blob_store().free(key)
        repositories.remove_if_empty(upload.repository.pk)


def is_repeated_end(name: RepositoryName, body: Body, digest: Digest) -> bool:
    """Return whether the body of a closing PUT is already a blob of the repository.

    A client whose answer was lost repeats the PUT, and its session no longer exists. A client that has the bytes and
    may push learns nothing new. Without a body, the session may as well have been cancelled.
    Raises BLOB_UNKNOWN, UNAVAILABLE when the blob does not exist.
    """
    if body.is_empty:
        return False
    blobs.find(name, digest, is_asked=True)
    running = new_hash(digest.algorithm)
    return read_to_end(body, running) > 0 and not body.is_incomplete and running.hexdigest() == digest.encoded


def _content(
    upload: Upload, claim: Claim, body: Body, digest: Digest, *, start: int | None, expected: int | None
) -> Content:
    """Return the whole upload as one durable object. Raises DIGEST_INVALID."""
    if start is not None and start != upload.offset:
        raise chunks.conflict(upload, start)
    if body.is_empty and upload.offset:
        return assemble(upload, claim, digest)
    if not upload.offset and expected is None:
        content = small_blob.store(upload, body, digest)
        if content is not None:
            return content
    return received_whole(upload, claim, body, digest, expected)


def received_whole(upload: Upload, claim: Claim, body: Body, digest: Digest, expected: int | None = None) -> Content:
    """Append the body under a claim, and return the whole upload. Raises DIGEST_INVALID."""
    # A client without Content-Range sends the whole body again: no prefix of an incomplete one is kept.
    keeps_prefix = expected is not None
    received = chunks.receive(upload, claim, body, upload.offset, expected, keeps_prefix=keeps_prefix)
    content = received.content(upload.algorithm)
    if content is not None and content.digest == digest:
        # Not counted before it is published: if that fails, the client can repeat the same PUT.
        return content
    chunks.count(upload, received)
    upload.offset += received.size
    return assemble(upload, claim, digest)


def _publish(upload: Upload, content: Content, room: Room, origin: Origin) -> None:
    # By name: a repository that was deleted and created again meanwhile gets the blob.
    room.lock()
    name = RepositoryName(upload.repository.name)
    transactions.take_advisory_locks(*missing.lock_names(name, room.version))
    repository = repositories.ensure_row(name)
    # The body may have taken hours.
    read_only.require_writable(name, repository.permissions_version)
    if not close(upload, repository.pk, content):
        return
    blobs.publish(repository, content, room.at(repository.permissions_version))
    changes.blob_pushed(name, upload.account, origin, str(content.digest), content.size)
    failpoint("upload.before_publish_commit")


def close(upload: Upload, repository_pk: int, content: Content) -> bool:
    """Remove the session's rows, and put every object but the content's into the trash; False if that was done before.

    Raises `chunks.conflict` when the session stands elsewhere, `chunks.busy` when another request has claimed it.
    """
    row = _REMOVE_COMPLETE.row(upload.pk, content.offset, content.lease, content.lease)
    if row is None:
        # An earlier attempt may have been committed, though the answer to its COMMIT was lost. The object does not
        # tell: it is discarded when the blob existed already.
        links = Link.objects.filter(
            repository_id=repository_pk, blob__digest=str(content.digest), blob__is_corrupt=False
        )
        if not Upload.objects.filter(pk=upload.pk).exists() and links.exists():
            return False
        raise chunks.conflict(upload, content.offset)
    # Once the upload's row is locked, which sealing a segment needs too. The foreign key is checked at COMMIT.
    assembly_key = row[0]
    is_sealed = {key: bool(sealed) for key, sealed in _REMOVE_SEGMENTS.rows(upload.pk)}
    if content.key != assembly_key and is_sealed.get(content.key, True):
        # Another request has claimed the session meanwhile, and discarded unfinished objects, or failed. The rows come
        # back with the error.
        raise chunks.busy()
    trash.put({key for key in (*is_sealed, assembly_key) if key and key != content.key})
    return True


def _cancel(upload: Upload) -> set[str]:
    row = Upload.objects.select_for_update().filter(pk=upload.pk).first()
    if row is None:
        raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, {"uuid": str(upload.pk)})
    keys = discard(row)
    failpoint("upload.before_cancel_commit")
    return keys


def discard(row: Upload) -> set[str]:
    """Remove a session, whose row the caller has locked; put its objects into the trash and return their keys."""
    keys = {key for key, _ in _REMOVE_SEGMENTS.rows(row.pk)} | ({row.assembly_key} if row.assembly_key else set())
    trash.put(keys)
    _REMOVE.run(row.pk)
    return keys


def _too_many_open(owner: Identity, network: str, most: int) -> RegistryError:
    who = "this address" if owner.is_anonymous else "this account"
    message = f"{who} has {most} uploads open; finish or cancel some (server.limits.uploads_per_account)"
    client = (owner.account_pk, network)
    # Clients wait and retry silently: only the log tells.
    if _logged_refusals.get(client) is None:
        _logged_refusals.put(client, True)
        extra = {"account": owner.name, "client": network or None}
        logger.warning("uploads are refused: a client has server.limits.uploads_per_account open", extra=extra)
    return RegistryError(
        ErrorCode.TOOMANYREQUESTS, message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}, message=message
    )
