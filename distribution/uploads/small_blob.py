"""A whole blob in one short body: stored without claiming its session, which its last transaction asks anyway.

A claim keeps two writers from one object, and one that is slow from being overtaken. Neither needs one here: the body
is in memory before anything is written, and a storage that never writes to an object twice tells who came first.
"""

from io import BytesIO

from core.api.body import Body, cut_error
from core.db.pooled_connection import release_connection
from core.db.statement import Statement
from core.failpoints import failpoint
from distribution.models import Upload
from distribution.protocol.digest import Digest
from distribution.storage.blob_store import blob_store
from distribution.storage.stored_content import Content
from distribution.uploads import admission
from distribution.uploads.chunks import not_taken

SHORT_BYTES = 64 * 1024

# Of a session that nobody has claimed, the object that was named with it.
_FIRST = Statement("""
SELECT segment.key FROM distribution_segment segment
JOIN distribution_upload upload ON upload.id = segment.upload_id
WHERE upload.id = %s AND upload."offset" = 0 AND upload.lease IS NULL AND segment.size IS NULL
""")


def store(upload: Upload, body: Body, digest: Digest) -> Content | None:
    """Return the body as a durable object; None when it has to be stored under a claim, the body as it came.

    Raises SIZE_INVALID when the body is not as long as it said, DIGEST_INVALID, UNAVAILABLE when the storage fails,
    what `admission.check` raises; the session stands where it stood.
    """
    if body.length is None or body.length > SHORT_BYTES or not blob_store().is_disk:
        return None
    key = _FIRST.value(upload.pk)
    if key is None:
        return None
    admission.check(upload, body.length, body.length)
    # Neither a slow client nor a slow disk may hold it.
    release_connection()
    payload = body.read_all()
    if body.was_cut:
        raise cut_error(body, {"uuid": str(upload.pk), "received": len(payload), "expected": body.length})
    if not _write(key, payload):
        body.put_back(payload)
        return None
    actual = Digest.of(payload, digest.algorithm)
    if actual != digest:
        raise digest.mismatch(actual)
    return Content(key, len(payload), digest, 0, None)


def _write(key: str, payload: bytes) -> bool:
    """Write the object; False when somebody has begun to."""
    try:
        blob_store().write(key, BytesIO(payload))
    except FileExistsError:
        return False
    except Exception as error:
        raise not_taken(key, error) from error
    failpoint("upload.after_short_body")
    return True
