"""Upload sessions, spoken as clients do."""

import io
from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from django.db import connections
from django.utils.timezone import now

from distribution.models import Segment, Upload
from tests.caller import Caller, Response
from tests.images import digest_of

SESSION_HEADERS = ("Location", "Range", "Docker-Upload-UUID")


def start(caller: Caller, repository: str = "alice/app", query: str = "") -> str:
    """Open a session and return its location."""
    response = caller.post(f"/v2/{repository}/blobs/uploads/{query}")
    assert response.status_code == 202, response.content
    return str(response["Location"])


def chunk(caller: Caller, location: str, content: bytes, first: int) -> Response:
    """Send a chunk as oras and regctl do: `Content-Range: 0-1023`."""
    return caller.patch(location, content, headers={"Content-Range": f"{first}-{first + len(content) - 1}"})


def finish(caller: Caller, location: str, digest: str, content: bytes = b"", **options: Any) -> Response:
    """End the session, with the last bytes if there are any left."""
    return caller.put(f"{location}?digest={quote(digest)}", content, **options)


def push_in_chunks(caller: Caller, repository: str, *contents: bytes, algorithm: str = "sha256") -> Response:
    """Send each piece by a PATCH of its own, then finish without a body."""
    location = start(caller, repository)
    for content in contents:
        assert caller.patch(location, content).status_code == 202
    return finish(caller, location, digest_of(b"".join(contents), algorithm))


def cut(content: bytes, promised: int) -> dict[str, Any]:
    """Return what the server says of a body that ends after `content` though `promised` bytes were announced."""
    return {"wsgi.input": io.BytesIO(content), "CONTENT_LENGTH": str(promised)}


def claimed(seconds: float) -> None:
    """Let somebody be writing to the only upload, with a segment begun, until `seconds` from now."""
    upload = Upload.objects.get()
    Segment.objects.create(upload=upload, key=f"objects/00/{uuid4().hex}", start=upload.offset)
    Upload.objects.update(lease=uuid4(), leased_until=now() + timedelta(seconds=seconds))


class Interrupted(io.RawIOBase):
    """A body in whose middle something else happens."""

    def __init__(self, before: bytes, happens: object, after: bytes = b"") -> None:
        self._pieces = [before, happens, after]

    def read(self, size: int = -1) -> bytes:
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, bytes):
                return piece
            piece()  # type: ignore[operator]
        return b""


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make all calls at the same moment, each in a thread with a connection of its own, and return what they did.

    What a call raised stands in the place of its result.
    """
    results: list[Any] = [None] * len(calls)
    gate = Barrier(len(calls))

    def work(position: int) -> None:
        try:
            gate.wait()
            results[position] = calls[position]()
        except Exception as error:  # noqa: BLE001 - the test judges it
            results[position] = error
        finally:
            connections.close_all()

    threads = [Thread(target=work, args=(position,)) for position in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
