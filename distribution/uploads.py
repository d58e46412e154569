"""Upload sessions: start, find, append, complete, cancel.

    bytes → fsync file → fsync folder → COMMIT → 201

Publishing a blob is a row that names an object, never a rename or a copy: the same on a disk and in a cloud.
"""

import uuid
from contextlib import suppress
from datetime import datetime

from accounts.statement import Statement
from acl.names import RepositoryName
from distribution import blobs, repositories, reserve, segments, short_body, transactions, trash
from distribution.assembly import assemble
from distribution.content import Content
from distribution.digest import Digest
from distribution.failpoints import failpoint
from distribution.leases import Claim
from distribution.models import Link, Repository, Upload
from tokens.body import Body
from tokens.errors import ErrorCode, RegistryError

# Far more than clients at work have open; those that nobody goes on with expire after a day.
MAX_OPEN = 1000
RETRY_AFTER_SECONDS = 60

_COUNT_OPEN = Statement("SELECT count(*) FROM (SELECT 1 FROM distribution_upload WHERE account = %s LIMIT %s) opened")
_INSERT = Statement("""
INSERT INTO distribution_upload (id, repository_id, account, algorithm, "offset", started_at, active_at)
VALUES (%s, %s, %s, %s, 0, statement_timestamp(), statement_timestamp())
""")
_FIND = Statement("""
SELECT upload.repository_id, upload.algorithm, upload."offset"
FROM distribution_upload upload
JOIN distribution_repository repository ON repository.id = upload.repository_id
WHERE upload.id = %s AND repository.name = %s AND upload.account = %s
""")
# Of who holds the lease, or of anybody (no lease) while nobody does.
_LOCK = Statement("""
SELECT assembly_key FROM distribution_upload
WHERE id = %s AND "offset" = %s
AND (lease = %s OR (%s::uuid IS NULL AND (lease IS NULL OR leased_until < statement_timestamp())))
FOR UPDATE
""")
_KEYS = Statement("SELECT key FROM distribution_segment WHERE upload_id = %s")
_REMOVE_SEGMENTS = Statement("DELETE FROM distribution_segment WHERE upload_id = %s")
_REMOVE = Statement("DELETE FROM distribution_upload WHERE id = %s")


def start(name: RepositoryName, account: str, algorithm: str = "sha256") -> Upload:
    """Open a session of `account` in the repository, which is made when it is new.

    Raises TOOMANYREQUESTS when the account has MAX_OPEN sessions already; DENIED while the disk's space is low.
    """
    reserve.check()
    if _COUNT_OPEN.value(account, MAX_OPEN) >= MAX_OPEN:
        raise _too_many_open()
    failpoint("upload.before_start")
    upload = Upload(account=account, algorithm=algorithm)
    transactions.run(_open, upload, name)
    failpoint("upload.after_start")
    return upload


def _open(upload: Upload, name: RepositoryName) -> None:
    upload.repository = repositories.ensure(name)
    _INSERT.run(upload.pk, upload.repository_id, upload.account, upload.algorithm)
    segments.name_first(upload)


def find(name: RepositoryName, session: uuid.UUID, account: str) -> Upload:
    """Return the session. Raises BLOB_UPLOAD_UNKNOWN, also for one of another repository or account."""
    row = _FIND.row(session, name, account)
    if row is None:
        raise _unknown(session)
    repository_pk, algorithm, offset = row
    repository = Repository.from_db("default", ("id", "name"), (repository_pk, name))
    return Upload(pk=session, repository=repository, account=account, algorithm=algorithm, offset=offset)


def was_opened(name: RepositoryName, session: uuid.UUID, account: str, *, before: datetime) -> bool:
    """Tell whether `account` opened the session before that moment."""
    rows = Upload.objects.filter(pk=session, repository__name=name, account=account, started_at__lt=before)
    return rows.exists()


def append(upload: Upload, body: Body, start: int | None = None, expected: int | None = None) -> None:
    """Add the body to the session at offset `start` (None: where it stands), and move its offset.

    Raises RANGE_INVALID, SIZE_INVALID, BLOB_UPLOAD_INVALID; the session stays usable.
    """
    received = segments.receive(upload, body, upload.offset if start is None else start, expected)
    segments.count(upload, received)
    upload.offset += received.size


def complete(upload: Upload, body: Body, digest: Digest, start: int | None = None, expected: int | None = None) -> None:
    """Add the body, if any, and publish everything under `digest`.

    Raises what `append` raises; DIGEST_INVALID when the bytes have another digest, which ends the session.
    """
    content = _content(upload, body, digest.algorithm, start, expected)
    if content.digest != digest:
        cancel(upload)
        raise RegistryError(ErrorCode.DIGEST_INVALID, {"expected": str(digest), "actual": str(content.digest)})
    blobs.notice_loss(digest)
    try:
        transactions.run(_publish, upload, content)
    except RegistryError:
        _release(upload, content)
        raise
    failpoint("upload.after_publish_commit")


def receive_whole(name: RepositoryName, account: str, body: Body, digest: Digest) -> None:
    """Publish the body under `digest`; whatever happens, no session is left that the client can't know of.

    Raises what `complete` raises.
    """
    upload = start(name, account, digest.algorithm)
    try:
        complete(upload, body, digest)
    except RegistryError:
        with suppress(RegistryError):
            cancel(upload)
        raise


def cancel(upload: Upload) -> None:
    """End the session and throw its bytes away. Raises BLOB_UPLOAD_UNKNOWN."""
    transactions.run(_cancel, upload)
    failpoint("upload.after_cancel_commit")


def _content(upload: Upload, body: Body, algorithm: str, start: int | None, expected: int | None) -> Content:
    if start not in (None, upload.offset):
        raise segments.range_error(upload)
    if body.is_empty and upload.offset:
        return assemble(upload, algorithm)
    may_be_short = not upload.offset and expected is None
    short = short_body.store(upload, body, algorithm) if may_be_short else None
    if short is not None:
        return short
    received = segments.receive(upload, body, upload.offset, expected, may_be_first=not body.was_put_back)
    is_whole = not received.claim.offset
    if is_whole and received.digest.algorithm == algorithm:
        return Content(received.key, received.size, received.digest, 0, received.claim.lease)
    segments.count(upload, received)
    upload.offset += received.size
    return assemble(upload, algorithm)


def _publish(upload: Upload, content: Content) -> None:
    # By its name: what was deleted since the session was found, and made anew, gets the blob.
    repository = repositories.ensure(RepositoryName(upload.repository.name))
    if not _close(upload, repository, content):
        return
    blobs.publish(repository.pk, content)
    failpoint("upload.before_publish_commit")


def _is_published(upload: Upload, repository: Repository, content: Content) -> bool:
    """Tell whether an earlier attempt was committed, though the answer to its COMMIT got lost."""
    is_open = Upload.objects.filter(pk=upload.pk).exists()
    links = Link.objects.filter(repository=repository, blob__key=content.key)
    return not is_open and links.exists()


def _close(upload: Upload, repository: Repository, content: Content) -> bool:
    """Remove the session's rows, every object but the content's goes to trash; False when that was done before.

    Raises what `segments.range_error` says when the session stands elsewhere, or another request holds it.
    """
    row = _LOCK.row(upload.pk, content.offset, content.lease, content.lease)
    if row is None:
        if _is_published(upload, repository, content):
            return False
        raise segments.range_error(upload)
    keys = _keys(upload.pk, row[0])
    if content.key not in keys:
        # Somebody has claimed the session meanwhile, and thrown away what others had begun.
        raise segments.range_error(upload)
    _discard(upload.pk, keys - {content.key})
    return True


def _release(upload: Upload, content: Content) -> None:
    """Let the session go on at once rather than when the lease of this request runs out."""
    if content.lease is not None:
        with suppress(RegistryError):
            segments.abandon(Claim(upload.pk, content.offset, content.lease), content.key)


def _cancel(upload: Upload) -> None:
    row = Upload.objects.select_for_update().filter(pk=upload.pk).first()
    if row is None:
        raise _unknown(upload.pk)
    discard(row)
    failpoint("upload.before_cancel_commit")


def discard(row: Upload) -> None:
    """Remove the rows of a session, which the caller has locked; every object goes to trash."""
    _discard(row.pk, _keys(row.pk, row.assembly_key))


def _keys(pk: uuid.UUID, assembly_key: str | None) -> set[str]:
    """Return the keys of every object of a session."""
    return {key for (key,) in _KEYS.rows(pk)} | ({assembly_key} if assembly_key else set())


def _discard(pk: uuid.UUID, keys: set[str]) -> None:
    trash.put(keys)
    _REMOVE_SEGMENTS.run(pk)
    _REMOVE.run(pk)


def _too_many_open() -> RegistryError:
    detail = f"this account has {MAX_OPEN} uploads open; finish or cancel some"
    return RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _unknown(session: uuid.UUID) -> RegistryError:
    return RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, {"uuid": str(session)})
