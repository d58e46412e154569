"""A blob of a manifest as a page shows it: an SBOM, an in-toto statement, or plain JSON.

    blob ── Sigstore bundle ── DSSE envelope ── in-toto statement ── predicate: SBOM, provenance, …

Each wrapping may be missing. Signatures are counted, and not verified.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock

from core.blocking import blocking_io
from web import stored
from web.document import list_of, object_of
from web.image.manifest import MAX_RAW_BYTES
from web.image.sbom import Sbom, sbom_of
from web.image.statement import Statement, statement_of
from web.stored import UnreadableError

# A parsed document takes up to 20 times its bytes: a process parses one at a time. The last SBOM is cached, as visitors
# page through it and search it.
_reading = Lock()
_last: dict[str, "Readable"] = {}
PATIENCE_SECONDS = 5.0
_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Readable:
    """A document; `signatures` counts those of its envelope, None without one; `json` is empty for a large one."""

    sbom: Sbom | None
    statement: Statement | None
    signatures: int | None
    json: str


def read(repository: int, digest: str) -> Readable:
    """Return a blob that a manifest of the repository names. Raises UnreadableError."""
    # The cache is of all repositories: first of all, this one must link the blob.
    blob = stored.find(repository, digest, stored.MAX_BYTES)
    if (known := _last.get(digest)) is not None:
        return known
    payload = stored.content(blob)
    with blocking_io():
        is_mine = _reading.acquire(timeout=PATIENCE_SECONDS)
    if not is_mine:
        raise UnreadableError("Others are reading such documents: try again.", HTTPStatus.SERVICE_UNAVAILABLE)
    try:
        found = readable_of(payload)
        if found.sbom:
            _last.clear()
            _last[digest] = found
        return found
    finally:
        _reading.release()


def readable_of(payload: bytes) -> Readable:
    """Return the innermost document. Raises UnreadableError for what is no JSON."""
    document, signatures = stored.parse(payload), None
    envelope = object_of(document.get("dsseEnvelope")) or document
    if isinstance(envelope.get("payload"), str) and "payloadType" in envelope:
        signatures = len(list_of(envelope.get("signatures")))
        document = stored.parse(_decoded(envelope["payload"]))
    statement = statement_of(document)
    shown = statement.predicate if statement else document
    sbom = sbom_of(shown)
    is_small = len(payload) <= MAX_RAW_BYTES and not sbom
    indented = json.dumps(shown, indent=2, ensure_ascii=False) if is_small else ""
    return Readable(sbom, statement, signatures, indented)


def _decoded(payload: str) -> bytes:
    """Return the bytes of standard or URL-safe base64, with or without padding."""
    try:
        return base64.b64decode(payload.translate(_URL_SAFE) + "==")
    except (binascii.Error, ValueError) as error:
        raise UnreadableError("It can't be read: the payload of its envelope is not base64.") from error
