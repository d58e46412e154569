"""`/v2/<name>/blobs/<digest>`: a blob's headers, its bytes, its removal."""

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect

from core.db.pooled_connection import release_connection
from distribution import blobs
from distribution.protocol.byte_ranges import parse_range
from distribution.protocol.digest import parse_digest
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, OCTET_STREAM
from distribution.queries import FoundBlob
from distribution.storage.blob_store import blob_store
from distribution.views.repository import DELETE, PULL, PULL_PUSH, RepositoryView, empty, has_already


class BlobResponse(FileResponse):
    """A file that gunicorn sends with `sendfile`; the view has set every header.

    Django's own headers would name the storage key in a Content-Disposition.
    """

    def set_headers(self, filelike: object) -> None:
        """Set nothing."""


class BlobView(RepositoryView):
    """Serve a blob."""

    actions = {"GET": PULL, "HEAD": PULL, "DELETE": DELETE}
    # oras-py keeps the token of its first challenge, which is this HEAD, for the push that follows.
    challenged = {"HEAD": PULL_PUSH}

    def head(self, request: HttpRequest, digest: str) -> HttpResponse:
        """Answer here whatever the storage: a cloud sends no Docker-Content-Digest."""
        found = blobs.find(self.name, parse_digest(digest))
        if has_already(request, found.digest):
            return empty(304, _headers(found))
        return HttpResponse(b"", headers=_headers(found) | {"Content-Length": str(found.size)})

    def get(self, request: HttpRequest, digest: str) -> HttpResponseBase:
        """Answer with the bytes or the range asked for, or where to get them."""
        found = blobs.find(self.name, parse_digest(digest))
        if has_already(request, found.digest):
            return empty(304, _headers(found))
        url = blob_store().redirect_url(found.key)
        if url is not None:
            return HttpResponseRedirect(url, status=307, headers=_headers(found))
        return _content(found, _range_header(request, found))

    def delete(self, request: HttpRequest, digest: str) -> HttpResponse:
        """Take the blob out of this repository."""
        parsed = parse_digest(digest)
        blobs.delete(self.name, parsed)
        self.log_change(request, "blob deleted", digest=str(parsed))
        return empty(202, {"Content-Length": "0"})


def _headers(found: FoundBlob) -> dict[str, str]:
    return {
        "Content-Type": OCTET_STREAM,
        CONTENT_DIGEST_HEADER: found.digest,
        "ETag": _entity_tag(found),
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
    }


def _entity_tag(found: FoundBlob) -> str:
    return f'"{found.digest}"'


def _range_header(request: HttpRequest, found: FoundBlob) -> str | None:
    """Return the Range that counts: none when If-Range names anything but these bytes (RFC 9110, section 13.1.5)."""
    if request.META.get("HTTP_IF_RANGE", _entity_tag(found)).strip() != _entity_tag(found):
        return None
    header: str | None = request.META.get("HTTP_RANGE")
    return header


def _content(found: FoundBlob, range_header: str | None) -> BlobResponse:
    asked = parse_range(range_header, found.size) if range_header else None
    first, last = asked or (0, found.size - 1)
    headers = _headers(found) | {"Content-Length": str(last - first + 1)}
    if asked:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    file = blobs.open_at(found, first)
    release_connection()
    return BlobResponse(file, status=206 if asked else 200, headers=headers)
