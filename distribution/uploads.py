"""Upload sessions: start, find, append, complete, cancel.

    bytes → fsync file → fsync folder → COMMIT → 201

Publishing a blob is a row that names an object, never a rename or a copy: the same on a disk and in a cloud.
"""

import uuid
from contextlib import suppress
from datetime import datetime

from django.db.models import Q
from django.db.models.functions import Now

from acl.names import RepositoryName
from distribution import blobs, leases, repositories, segments, transactions, trash
from distribution.assembly import assemble
from distribution.content import Content
from distribution.digest import Digest
from distribution.failpoints import failpoint
from distribution.leases import Claim
from distribution.models import Blob, Link, Segment, Upload, remove
from tokens.body import Body
from tokens.errors import ErrorCode, RegistryError

# Far more than clients at work have open; those that nobody goes on with expire after a day.
MAX_OPEN = 1000
RETRY_AFTER_SECONDS = 60


def start(name: RepositoryName, account: str, algorithm: str = "sha256") -> Upload:
    """Open a session of `account` in the repository, which is made when it is new.

    Raises TOOMANYREQUESTS when the account has MAX_OPEN sessions already.
    """
    if Upload.objects.filter(account=account)[:MAX_OPEN].count() >= MAX_OPEN:
        raise _too_many_open()
    repository = repositories.ensure(name)
    failpoint("upload.before_start")
    upload = Upload.objects.create(repository=repository, account=account, algorithm=algorithm, active_at=Now())
    failpoint("upload.after_start")
    return upload


def find(name: RepositoryName, session: uuid.UUID, account: str) -> Upload:
    """Return the session. Raises BLOB_UPLOAD_UNKNOWN, also for one of another repository or account."""
    upload = (
        Upload.objects.select_related("repository").filter(pk=session, repository__name=name, account=account).first()
    )
    if upload is None:
        raise _unknown(session)
    return upload


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
    received = segments.receive(upload, body, upload.offset, expected)
    is_whole = not received.claim.offset
    if is_whole and received.digest.algorithm == algorithm:
        return Content(received.key, received.size, received.digest, 0, received.claim.lease)
    segments.count(upload, received)
    upload.offset += received.size
    return assemble(upload, algorithm)


def _publish(upload: Upload, content: Content) -> None:
    if not _close(upload, content):
        return
    blob = Blob.objects.select_for_update().filter(digest=str(content.digest)).first()
    if blob is None:
        blob = Blob.objects.create(digest=str(content.digest), size=content.size, key=content.key)
    elif blob.is_corrupt:
        trash.put([blob.key])
        Blob.objects.filter(pk=blob.pk).update(key=content.key, size=content.size, is_corrupt=False)
    else:
        trash.put([content.key])
    blobs.link_into(upload.repository, blob)
    failpoint("upload.before_publish_commit")


def _is_published(upload: Upload, content: Content) -> bool:
    """Tell whether an earlier attempt was committed, though the answer to its COMMIT got lost."""
    is_open = Upload.objects.filter(pk=upload.pk).exists()
    links = Link.objects.filter(repository=upload.repository, blob__key=content.key)
    return not is_open and links.exists()


def _close(upload: Upload, content: Content) -> bool:
    """Remove the session's rows, every object but the content's goes to trash; False when that was done before.

    Raises what `segments.range_error` says when the session stands elsewhere, or another request holds it.
    """
    held = Q(lease=content.lease) if content.lease else leases.free()
    row = Upload.objects.select_for_update().filter(held, pk=upload.pk, offset=content.offset).first()
    if row is None:
        if _is_published(upload, content):
            return False
        raise segments.range_error(upload)
    discard(row, keep=content.key)
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


def discard(row: Upload, keep: str | None = None) -> None:
    """Remove the rows of a session, which the caller has locked; every object but `keep` goes to trash."""
    keys = {row.assembly_key, *Segment.objects.filter(upload=row).values_list("key", flat=True)}
    trash.put(key for key in keys if key and key != keep)
    remove(Segment.objects.filter(upload=row))
    remove(Upload.objects.filter(pk=row.pk))


def _too_many_open() -> RegistryError:
    detail = f"this account has {MAX_OPEN} uploads open; finish or cancel some"
    return RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _unknown(session: uuid.UUID) -> RegistryError:
    return RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, {"uuid": str(session)})
