"""Attachments: signatures, attestations and SBOMs, which are pulled without a signature of their own.

Otherwise no client could fetch the signature of an image. Only what no client runs counts: each layer has a media type
of documents, and begins neither as a tar archive nor as a compressed one, since podman unpacks whatever its media type.
"""

import json
import re
from typing import Any

from core.caches import TTLCache
from distribution.queries import FoundManifest
from distribution.signatures import content, rows
from policies.signatures.artifact import MAX_LAYERS

_TAG = re.compile(r"sha256-[0-9a-f]{64}\.(?:sig|att|sbom)")
_DOCUMENT = re.compile(
    r"[a-z0-9.+-]+/(?:[a-z0-9.+-]+\+)?json|application/cose|text/spdx|application/vnd\.cyclonedx\+xml"
)
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_SKIPPABLE_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_BLOCK = 512
_CHECKSUM = slice(148, 156)

# What a manifest is, by primary key: neither it nor a blob ever changes.
_NO, _UNATTACHED, _REFERRER = range(3)
_known: TTLCache[int] = TTLCache(300, name="attachments")


def is_attachment(name: str, text: str, found: FoundManifest) -> bool:
    """Tell whether the manifest is an attachment, and `text` refers to it as to one. Raises UNAVAILABLE.

    Another tag does not: whoever may push could give any document a subject, and move the tag to it.
    """
    is_tag = ":" not in text
    if is_tag and _TAG.fullmatch(text) is None:
        return False
    known = _known.get(found.pk)
    if known is None:
        known = _kind_of(name, rows.payload(found.pk))
        if known is None:
            return False
        _known.put(found.pk, known)
    if known == _UNATTACHED:
        return is_tag or any(map(_TAG.fullmatch, rows.tags_of(found.pk)))
    return known == _REFERRER


def _kind_of(name: str, payload: bytes | None) -> int | None:
    """Return what the manifest is, None when a layer of it is lost at the moment."""
    document: Any = json.loads(payload) if payload else {}
    layers = document.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= MAX_LAYERS:
        return _NO
    for layer in layers:
        media_type = str(layer.get("mediaType")).partition(";")[0].lower()
        if _DOCUMENT.fullmatch(media_type) is None:
            return _NO
    for layer in layers:
        block = content.beginning(name, layer["digest"], _BLOCK)
        if block is None:
            return None
        if is_archive(block):
            return _NO
    return _REFERRER if document.get("subject") else _UNATTACHED


def is_archive(block: bytes) -> bool:
    """Tell whether content with this first block can be unpacked: it is compressed, or a tar header by its checksum."""
    if block.startswith(_COMPRESSED) or _SKIPPABLE_FRAME.match(block):
        return True
    if len(block) < _BLOCK:
        return False
    rest = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    # Some programs add up signed bytes.
    sums = (sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest))
    stated = re.match(rb"[ \0]*([0-7]*)", block[_CHECKSUM])
    return stated is not None and int(stated[1] or b"0", 8) in sums
