"""The fast path of a blob that arrives in one small body: stored without a lease.

A lease keeps a second writer from the object, and a slow one from being taken over. Here the body is in memory before
anything is written, and a storage that never overwrites tells which writer was first. The transaction that publishes
the blob checks the session anyway.
"""

from io import BytesIO

from core.api.body import Body, incomplete_error
from core.db.transactions import release_connection
from core.failpoints import failpoint
from distribution.models import Upload
from distribution.protocol.digest import Digest
from distribution.storage.blob_store import blob_store
from distribution.storage.stored_content import Content
from distribution.uploads import admission
from distribution.uploads.chunks import not_taken

MAX_BYTES = 64 * 1024


def store(upload: Upload, body: Body, digest: Digest) -> Content | None:
    """Return the body as a durable object; None, with the body unread, when it has to be stored under a claim.

    Raises SIZE_INVALID when the body does not have its length, DIGEST_INVALID, UNAVAILABLE when the storage fails,
    what `admission.check` raises; the session is unchanged.
    """
    if body.length is None or body.length > MAX_BYTES or not blob_store().is_disk:
        return None
    key = upload.first_key
    if key is None:
        return None
    admission.check(upload, body.length, body.length)
    release_connection()
    payload = body.read_all()
    if body.is_incomplete:
        raise incomplete_error(body, {"uuid": str(upload.pk), "received": len(payload), "expected": body.length})
    try:
        blob_store().write(key, BytesIO(payload))
    except FileExistsError:
        # Another request has begun to write it.
        body.put_back(payload)
        return None
    except Exception as error:
        raise not_taken(key, error) from error
    failpoint("upload.after_short_body")
    actual = Digest.of(payload, digest.algorithm)
    if actual != digest:
        raise digest.mismatch(actual)
    return Content(key, len(payload), digest, 0, None)
