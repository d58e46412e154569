"""Pushes of blobs.

POST  …/blobs/uploads/           start   ──> 202, the session's address
PATCH …/blobs/uploads/<session>  append  ──> 202, the session's offset
PUT   …/blobs/uploads/<session>  end     ──> 201, the blob's address
"""

import uuid
from contextlib import suppress
from typing import Any

from acl.names import RepositoryName
from core.api.body import Body
from core.api.errors import ErrorCode, RegistryError, quoted
from distribution.models import Upload
from distribution.protocol.byte_ranges import parse_content_range
from distribution.protocol.digest import ALGORITHMS, Digest, parse_digest
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, UPLOAD_UUID_HEADER
from distribution.pushes.caller import Caller
from distribution.pushes.pushed import Pushed
from distribution.uploads import sessions
from distribution.usage.quotas import Room


def start(caller: Caller, algorithm: str = ALGORITHMS[0]) -> Pushed:
    """Open a session. Raises DENIED at a full quota, DIGEST_INVALID, and what `sessions.start` raises."""
    # Refuses fields about the body that contradict each other.
    Body(caller.request)
    room = Room.of(caller.name, caller.bearer.version)
    room.require_some_bytes(0)
    if algorithm not in ALGORITHMS:
        raise RegistryError(ErrorCode.DIGEST_INVALID, f"{quoted(algorithm)} is not one of {', '.join(ALGORITHMS)}")
    return session_accepted(sessions.start(caller.name, caller.identity, algorithm, caller.network), 202, room)


def receive_whole(caller: Caller, digest_text: str) -> Pushed:
    """Publish the body. Raises DENIED at a full quota, DIGEST_INVALID, and what `sessions.receive_whole` raises."""
    body, digest = Body(caller.request), parse_digest(digest_text)
    Room.of(caller.name, caller.bearer.version).require_some_bytes(body.length or 0, digest)
    room = sessions.receive_whole(caller.name, caller.identity, body, digest, caller.network, **_by(caller))
    return created(caller.name, digest, room)


def append(caller: Caller, session: str) -> Pushed:
    """Append a chunk: with a Content-Range at its offset, without one at the session's. Raises RegistryError."""
    upload = find(caller, session)
    try:
        begin, expected = _chunk(caller)
        sessions.append(upload, Body(caller.request), begin, expected, version=caller.bearer.version)
    except RegistryError as error:
        raise _with_session(error, upload) from error
    return session_accepted(upload, 202)


def end(caller: Caller, session: str, digest_text: str) -> Pushed:
    """Append the last chunk, if any, and publish the blob. Raises RegistryError."""
    try:
        upload = find(caller, session)
    except RegistryError:
        with suppress(RegistryError):
            digest = parse_digest(digest_text)
            if sessions.is_repeated_end(caller.name, Body(caller.request), digest):
                return created(caller.name, digest)
        raise
    digest = parse_digest(digest_text)
    try:
        begin, expected = _chunk(caller)
        room = sessions.complete(upload, Body(caller.request), digest, begin, expected, **_by(caller))
    except RegistryError as error:
        raise _with_session(error, upload) from error
    return created(caller.name, digest, room)


def find(caller: Caller, session: str) -> Upload:
    return sessions.find(caller.name, uuid.UUID(session), caller.identity)


def session_accepted(upload: Upload, status: int, room: Room | None = None) -> Pushed:
    """Return the answer with the session's address and offset, and a warning when `room` is nearly full."""
    length = {} if status == 204 else {"Content-Length": "0"}
    return Pushed(status, _session_headers(upload) | length | (room.headers() if room else {}))


def created(name: RepositoryName, digest: Digest, room: Room | None = None) -> Pushed:
    """Return the 201 for a blob, with a warning when `room` is nearly full."""
    headers = {
        "Location": f"/v2/{name}/blobs/{digest}",
        CONTENT_DIGEST_HEADER: str(digest),
        "Content-Length": "0",
    }
    return Pushed(201, headers | (room.headers() if room else {}))


def _by(caller: Caller) -> dict[str, Any]:
    """Return what the transaction that publishes a blob needs of the caller."""
    return {"version": caller.bearer.version, "origin": caller.origin}


def _chunk(caller: Caller) -> tuple[int | None, int | None]:
    """Return the chunk's first offset and its size, None for both without a Content-Range."""
    header = caller.request.META.get("HTTP_CONTENT_RANGE")
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
