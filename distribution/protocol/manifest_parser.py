"""Parse manifests: validate the bytes and list the descriptors in them.

The parser does not know the registry's content: the caller checks that blobs and children exist. Besides what
`strict_json` refuses, it refuses, each with its danger:

    refused                                       danger
    Content-Type and mediaType that differ        the same bytes are one thing here and another for clients
    a media type other than the four              text/html would run on the admin's origin
    an image with manifests, an index with        the same bytes run as an image and as an index (CVE-2021-41190)
      config or layers; null is none
    schemaVersion other than 2                    readers take 1 for Docker's old format, whatever the mediaType says
    `MediaType` for `mediaType`, and so on, of    programs in Go, which ignore case, read a member that others don't
      a manifest or a descriptor
    a malformed digest, also of the subject       nothing can be found, referenced or collected by it
    in an index, a descriptor without mediaType   it could be a manifest or a blob, which are referenced differently
    sizes below 0 or that are not 64-bit          no program in Go reads the manifest; buffers of a size below zero
      integers; other types of known members
    own annotations with NUL or lone surrogates,  PostgreSQL can't store them, and referrers are listed from rows
      such an artifactType or one above 255
      characters, or of the config's mediaType

Accepted although the specification requires more: a layer without mediaType, a descriptor without size, a missing or
null `layers` or `manifests`, annotations that are null (""), `fsLayers` beside schemaVersion 2, any media type of a
layer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.api.errors import ErrorCode, RegistryError, quoted
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.spec import (
    DOCKER_SCHEMA_1_TYPES,
    INDEX_TYPES,
    MANIFEST_MAX_BYTES,
    MANIFEST_TYPES,
    MEDIA_TYPE_MAX_CHARACTERS,
    NONDISTRIBUTABLE_TYPES,
    OCI_TYPES,
    SCHEMA_VERSION,
    SIZE_MAX,
)
from distribution.protocol.strict_json import parse_document

Fields = Mapping[str, object]

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


_MANIFEST_NAMES = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
)
_DESCRIPTOR_NAMES = ("mediaType", "digest", "size", "urls", "annotations")
# The spelling of each known member, by its name without case.
_MANIFEST_FIELDS = {name.casefold(): name for name in _MANIFEST_NAMES}
_DESCRIPTOR_FIELDS = {name.casefold(): name for name in _DESCRIPTOR_NAMES}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor of one piece of content; `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()

    @property
    def may_be_elsewhere(self) -> bool:
        """Whether clients may fetch this content from elsewhere, so that it need not be in the repository."""
        return bool(self.urls) or self.media_type in NONDISTRIBUTABLE_TYPES


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """The descriptors of a manifest.

    `blobs` (config first, then layers) must be in the repository; `optional_blobs` (nondistributable layers
    and those with `urls`) need not be; `children` are the manifests of an index, whose other descriptors are
    blobs. `artifact_type` is for the referrers API: an image's own, otherwise its config's media type; an index's own,
    otherwise None. A digest may occur more than once.
    """

    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    optional_blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)


def parse_manifest(payload: bytes, content_type: str | None) -> ParsedManifest:
    """Return the parsed manifest of `payload`; `content_type` is the request's header, None without one.

    Accepts OCI image manifests and indexes, Docker schema 2 manifests and lists; unknown members may have any value.
    Raises RegistryError MANIFEST_INVALID, whose message says what is wrong and where; its status is 413 above 4 MiB.
    Sources: OCI Image Specification v1.1, Docker "Image Manifest Version 2, Schema 2".
    """
    if len(payload) > MANIFEST_MAX_BYTES:
        raise _invalid(f"a manifest has at most {MANIFEST_MAX_BYTES} bytes, not {len(payload)}", status=413)
    document = parse_document(payload)
    _check_spelling(document, _MANIFEST_FIELDS, "the manifest")
    media_type = _media_type(document, content_type)
    version = document.get("schemaVersion")
    # isinstance would take a JSON true for an integer.
    if type(version) is not int or version != SCHEMA_VERSION:
        raise _invalid(f"schemaVersion is not {SCHEMA_VERSION}")
    parse_content = _parse_index if media_type in INDEX_TYPES else _parse_image
    return _with_common_members(parse_content(document, media_type), document)


def _parse_image(document: Fields, media_type: str) -> ParsedManifest:
    if document.get("manifests") is not None:
        raise _invalid(f"{media_type} has config and layers, and no manifests")
    config = _descriptor(document.get("config"), "config")
    blobs = (config, *_descriptors(document, "layers"))
    return ParsedManifest(
        media_type=media_type,
        blobs=tuple(blob for blob in blobs if not blob.may_be_elsewhere),
        optional_blobs=tuple(blob for blob in blobs if blob.may_be_elsewhere),
        artifact_type=_storable(config.media_type, "config.mediaType"),
    )


def _parse_index(document: Fields, media_type: str) -> ParsedManifest:
    if any(document.get(member) is not None for member in ("config", "layers")):
        raise _invalid(f"{media_type} has manifests, and neither config nor layers")
    named = _descriptors(document, "manifests")
    for position, descriptor in enumerate(named):
        if not descriptor.media_type:
            raise _invalid(f"manifests[{position}].mediaType is missing")
    # BuildKit before 0.21 writes its cache as an index of layers and a config, which are blobs.
    blobs = tuple(descriptor for descriptor in named if descriptor.media_type not in MANIFEST_TYPES)
    return ParsedManifest(
        media_type=media_type,
        blobs=tuple(blob for blob in blobs if not blob.may_be_elsewhere),
        optional_blobs=tuple(blob for blob in blobs if blob.may_be_elsewhere),
        children=tuple(descriptor for descriptor in named if descriptor.media_type in MANIFEST_TYPES),
    )


def _with_common_members(content: ParsedManifest, document: Fields) -> ParsedManifest:
    """Add the members that images and indexes have in common."""
    subject, artifact_type = None, content.artifact_type
    # Docker's own types define neither subject nor artifactType: there these are unknown members of any value.
    if content.media_type in OCI_TYPES:
        if document.get("subject") is not None:
            subject = _descriptor(document["subject"], "subject")
        artifact_type = _storable(_text(document, "artifactType"), "artifactType") or artifact_type
    annotations = _annotations(document)
    for key, text in annotations.items():
        if _UNSTORABLE.search(key) or _UNSTORABLE.search(text):
            raise _invalid(f"annotations has NUL or a lone surrogate at {quoted(key)}")
    return replace(content, subject=subject, artifact_type=artifact_type, annotations=annotations)


def _check_spelling(fields: Fields, known: Fields, where: str) -> None:
    """Refuse `MediaType` for `mediaType`: readers that ignore case would take it, this one would not."""
    for key in fields:
        if known.get(key.casefold(), key) != key:
            raise _invalid(f"{where} has a key {quoted(key)}, which is spelled {known[key.casefold()]}")


def _media_type(document: Fields, content_type: str | None) -> str:
    """Return the media type that the header and the body agree on, one of MANIFEST_TYPES."""
    declared = (content_type or "").partition(";")[0].strip().lower()
    written = _text(document, "mediaType")
    is_schema_1 = document.get("schemaVersion") == 1 and "fsLayers" in document
    if is_schema_1 or DOCKER_SCHEMA_1_TYPES & {declared, written}:
        raise _invalid("schema 1 manifests are not supported: push the image as Docker schema 2 or OCI")
    if declared and written and declared != written:
        raise _invalid(f"the Content-Type {quoted(declared)} and the mediaType {quoted(written)} differ")
    media_type = declared or written
    if media_type not in MANIFEST_TYPES:
        raise _invalid(f"the media type {quoted(media_type)} is not one of {', '.join(MANIFEST_TYPES)}")
    return media_type


def _descriptors(document: Fields, key: str) -> tuple[Descriptor, ...]:
    return tuple(_descriptor(item, f"{key}[{position}]") for position, item in enumerate(_list(document, key)))


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise _invalid(f"{where} is not an object")
    _check_spelling(value, _DESCRIPTOR_FIELDS, where)
    prefix = f"{where}."
    _annotations(value, prefix)
    media_type, digest, size = _text(value, "mediaType", prefix), _digest(value, prefix), _size(value, prefix)
    urls = _list(value, "urls", prefix)
    if not all(isinstance(url, str) for url in urls):
        raise _invalid(f"{prefix}urls has an item that is not a string")
    return Descriptor(media_type, digest, size, tuple(map(str, urls)))


def _digest(fields: Fields, prefix: str) -> Digest:
    text = fields.get("digest")
    if not isinstance(text, str):
        raise _invalid(f"{prefix}digest is not a string")
    try:
        return parse_digest(text)
    except RegistryError as error:
        raise _invalid(f"{prefix}digest: {error.detail}") from error


def _size(fields: Fields, prefix: str) -> int:
    size = fields.get("size")
    if size is None:
        return 0
    # isinstance would take a JSON true for an integer.
    if type(size) is not int or not 0 <= size <= SIZE_MAX:
        raise _invalid(f"{prefix}size is not a number of bytes")
    return size


def _text(fields: Fields, key: str, prefix: str = "") -> str:
    """Return a string; "" when it is missing, null or empty, which programs in Go do not distinguish."""
    text = fields.get(key)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise _invalid(f"{prefix}{key} is not a string")
    return text


def _storable(media_type: str, where: str) -> str:
    """Refuse a media type that its column can't store."""
    if len(media_type) > MEDIA_TYPE_MAX_CHARACTERS or _UNSTORABLE.search(media_type):
        raise _invalid(f"{where} is not a media type: at most {MEDIA_TYPE_MAX_CHARACTERS} characters, none of them NUL")
    return media_type


def _list(fields: Fields, key: str, prefix: str = "") -> list[object]:
    """Return the array at `key`, empty when it is missing or null, as programs in Go write an empty one."""
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _invalid(f"{prefix}{key} is not an array")
    return value


def _annotations(fields: Fields, prefix: str = "") -> dict[str, str]:
    """Return the annotations; null is an empty string, as programs in Go read it."""
    value = fields.get("annotations")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(text is None or isinstance(text, str) for text in value.values()):
        raise _invalid(f"{prefix}annotations is not an object of strings")
    return {key: text or "" for key, text in value.items()}


def _invalid(detail: str, *, status: int | None = None) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_INVALID, detail, status=status, message=detail)
