"""`/v2/<name>/blobs/<digest>`: serve and delete a blob."""

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect

from core.db.transactions import release_connection
from distribution import blobs
from distribution.protocol.byte_ranges import parse_range
from distribution.protocol.digest import parse_digest
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, OCTET_STREAM
from distribution.queries import FoundBlob
from distribution.storage.blob_store import blob_store
from distribution.views.repository import DELETE, PULL, PULL_PUSH, RepositoryView, empty, has_already


class BlobResponse(FileResponse):
    """A file that gunicorn sends with `sendfile`, with headers from the view only.

    Django's own headers would name the storage key in a Content-Disposition.
    """

    def set_headers(self, filelike: object) -> None:
        pass


class BlobView(RepositoryView):
    actions = {"GET": PULL, "HEAD": PULL, "DELETE": DELETE}
    # oras-py keeps the token of its first challenge, which is this HEAD, for the push that follows.
    challenged = {"HEAD": PULL_PUSH}

    def get(self, request: HttpRequest, digest: str) -> HttpResponseBase:
        """Answer with the blob, a range of it, or a redirect to the storage."""
        found = blobs.find(self.name, parse_digest(digest))
        headers = {
            "Content-Type": OCTET_STREAM,
            CONTENT_DIGEST_HEADER: found.digest,
            "ETag": f'"{found.digest}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": "max-age=31536000",
        }
        if has_already(request, found.digest):
            return empty(304, headers)
        if request.method == "HEAD":
            # Never redirected: a cloud sends no Docker-Content-Digest.
            return HttpResponse(b"", headers=headers | {"Content-Length": str(found.size)})
        url = blob_store().redirect_url(found.key)
        if url is not None:
            return HttpResponseRedirect(url, status=307, headers=headers)
        return _content(request, found, headers)

    def delete(self, request: HttpRequest, digest: str) -> HttpResponse:
        parsed = parse_digest(digest)
        blobs.delete(self.name, parsed)
        self.log_change(request, "blob deleted", digest=str(parsed))
        return empty(202, {"Content-Length": "0"})


def _content(request: HttpRequest, found: FoundBlob, headers: dict[str, str]) -> BlobResponse:
    """Return the blob, or the part of it that the request's Range names."""
    header = request.META.get("HTTP_RANGE")
    # Ignored when If-Range has another entity tag (RFC 9110, section 13.1.5).
    if request.META.get("HTTP_IF_RANGE", headers["ETag"]).strip() != headers["ETag"]:
        header = None
    part = parse_range(header, found.size) if header else None
    first, last = part or (0, found.size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    file = blobs.open_at(found, first)
    release_connection()
    return BlobResponse(file, status=206 if part else 200, headers=headers)
