"""`/v2/<name>/blobs/uploads/<session>`: an upload session's status, chunks and end."""

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

from acl.names import RepositoryName
from core.api.body import Body
from core.api.errors import ErrorCode, RegistryError
from distribution.models import Upload
from distribution.protocol.byte_ranges import parse_content_range
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, UPLOAD_UUID_HEADER
from distribution.uploads import sessions
from distribution.usage.quotas import Room
from distribution.views.repository import PULL, PULL_PUSH, PUSH, RepositoryView, empty
from tokens.verify import LEEWAY_SECONDS, Bearer


class UploadView(RepositoryView):
    """Continue a session, which only its own account finds, in its own repository."""

    actions = {"GET": PULL, "PATCH": PULL_PUSH, "PUT": PULL_PUSH, "DELETE": PUSH}

    def get(self, request: HttpRequest, session: str) -> HttpResponse:
        return session_accepted(self._find(session), 204)

    def patch(self, request: HttpRequest, session: str) -> HttpResponse:
        """Append a chunk: with a Content-Range at its offset, without one at the session's."""
        upload = self._find(session)
        try:
            start, expected = _chunk(request)
            body = Body(request)
            sessions.append(upload, body, start, expected, version=self.bearer.version)
        except RegistryError as error:
            raise _with_session(error, upload) from error
        return session_accepted(upload, 202)

    def put(self, request: HttpRequest, session: str) -> HttpResponse:
        """Append the last chunk, if any, and publish the blob."""
        try:
            upload = self._find(session)
        except RegistryError:
            with suppress(RegistryError):
                digest = parse_digest(request.GET.get("digest", ""))
                if sessions.is_repeated_end(self.name, Body(request), digest):
                    return created(self.name, digest)
            raise
        digest = parse_digest(request.GET.get("digest", ""))
        try:
            start, expected = _chunk(request)
            body = Body(request)
            by: Any = {"version": self.bearer.version, "origin": self.origin(request)}
            room = sessions.complete(upload, body, digest, start, expected, **by)
        except RegistryError as error:
            raise _with_session(error, upload) from error
        return created(self.name, digest, room)

    def delete(self, request: HttpRequest, session: str) -> HttpResponse:
        sessions.cancel(self._find(session))
        return empty(204, {})

    def outlives(self, bearer: Bearer) -> bool:
        """Let the account that opened the session with a valid token finish it after the token has expired."""
        expired_at = datetime.fromtimestamp(bearer.claims.expires_at + LEEWAY_SECONDS, UTC)
        return sessions.was_opened(self.name, uuid.UUID(self.kwargs["session"]), bearer.identity, before=expired_at)

    def _find(self, session: str) -> Upload:
        return sessions.find(self.name, uuid.UUID(session), self.bearer.identity)


def _chunk(request: HttpRequest) -> tuple[int | None, int | None]:
    """Return the chunk's first offset and its size, None for both without a Content-Range."""
    header = request.META.get("HTTP_CONTENT_RANGE")
    if header is None:
        return None, None
    first, last = parse_content_range(header)
    return first, last - first + 1


def _with_session(error: RegistryError, upload: Upload) -> RegistryError:
    """Add the session's offset to a 416, so that the client can continue."""
    if error.code is ErrorCode.RANGE_INVALID:
        error.headers |= _session_headers(upload)
    return error


def _session_headers(upload: Upload) -> dict[str, str]:
    # Relative: an absolute http:// behind a TLS proxy loses containerd's credentials. `0-0` for an empty session:
    # docker fails on `0--1`.
    return {
        "Location": f"/v2/{upload.repository.name}/blobs/uploads/{upload.pk}",
        "Range": f"0-{max(upload.offset - 1, 0)}",
        UPLOAD_UUID_HEADER: str(upload.pk),
    }


def session_accepted(upload: Upload, status: int, room: Room | None = None) -> HttpResponse:
    """Return the answer with the session's address and offset, and a warning when `room` is nearly full."""
    length = {} if status == 204 else {"Content-Length": "0"}
    return empty(status, _session_headers(upload) | length | (room.headers() if room else {}))


def created(name: RepositoryName, digest: Digest, room: Room | None = None) -> HttpResponse:
    """Return the 201 for a blob, with a warning when `room` is nearly full."""
    headers = {
        "Location": f"/v2/{name}/blobs/{digest}",
        CONTENT_DIGEST_HEADER: str(digest),
        "Content-Length": "0",
    }
    return empty(201, headers | (room.headers() if room else {}))
