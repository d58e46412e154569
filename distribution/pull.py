"""Pulls: the response to GET and HEAD of a manifest or blob, whatever serves it.

Conditions are read from `meta`, fields of the request under their names in WSGI.
"""

from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from django.utils.encoding import iri_to_uri

from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError
from core.db.transactions import release_connection
from distribution import blobs
from distribution.manifests import store
from distribution.protocol.byte_ranges import parse_range
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.references import Tag, parse_reference
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, OCTET_STREAM
from distribution.queries import FoundBlob
from distribution.signatures import requirement
from distribution.usage import counter
from tokens.verify import Bearer


class Pulled(NamedTuple):
    """A response; of `file` the Content-Length bytes from its position are the body, and the sender closes it.

    `permissions_version` is that of the database when the manifest or blob was found.
    """

    status: int
    headers: dict[str, str]
    permissions_version: str
    payload: bytes = b""
    file: IO[bytes] | None = None


def manifest(name: RepositoryName, text: str, method: str, meta: Mapping[str, Any], bearer: Bearer) -> Pulled:
    """Return the manifest under its own media type, whatever `Accept` says; a HEAD reads no payload."""
    is_get = method == "GET"
    wanted = manifest_reference(name, text)
    found = store.find(name, wanted, with_payload=is_get)
    warning = requirement.check(name, text, found, bearer, meta)
    is_tag = not isinstance(wanted, Digest)
    if is_get or is_tag:
        counter.pulled(name, found.pk, text if is_tag else "", is_get=is_get)
    headers = {"Content-Type": found.media_type, CONTENT_DIGEST_HEADER: found.digest, "ETag": f'"{found.digest}"'}
    if warning:
        headers["Warning"] = warning
    if _has_already(meta, found.digest):
        return _not_modified(headers, found.permissions_version)
    headers["Content-Length"] = str(found.size)
    return Pulled(200, headers, found.permissions_version, found.payload)


def blob(name: RepositoryName, text: str, method: str, meta: Mapping[str, Any], _bearer: Bearer) -> Pulled:
    """Return the blob, a range of it, or a redirect to the storage; none needs a signature."""
    found = blobs.find(name, parse_digest(text))
    headers = {
        "Content-Type": OCTET_STREAM,
        CONTENT_DIGEST_HEADER: found.digest,
        "ETag": f'"{found.digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
    }
    if _has_already(meta, found.digest):
        return _not_modified(headers, found.permissions_version)
    if method == "HEAD":
        # Never redirected: a cloud sends no Docker-Content-Digest.
        headers["Content-Length"] = str(found.size)
        return Pulled(200, headers, found.permissions_version)
    url = blobs.redirect_url(found)
    if url is not None:
        # The URL expires.
        headers |= {"Cache-Control": "no-store", "Location": iri_to_uri(url), "Content-Length": "0"}
        return Pulled(307, headers, found.permissions_version)
    return _content(found, headers, meta)


def manifest_reference(name: RepositoryName, text: str) -> Digest | Tag:
    """Return the reference; an invalid tag, which can't have been pushed, is 404 rather than 400."""
    try:
        return parse_reference(text)
    except RegistryError as error:
        if error.code is not ErrorCode.TAG_INVALID:
            raise
        raise store.unknown(name, text) from error


def _content(found: FoundBlob, headers: dict[str, str], meta: Mapping[str, Any]) -> Pulled:
    """Return the blob, or the part of it that Range names."""
    header = meta.get("HTTP_RANGE")
    # Ignored when If-Range has another entity tag (RFC 9110, section 13.1.5).
    if meta.get("HTTP_IF_RANGE", headers["ETag"]).strip() != headers["ETag"]:
        header = None
    part = parse_range(header, found.size) if header else None
    first, last = part or (0, found.size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    file = blobs.open_at(found, first, last - first + 1)
    release_connection()
    return Pulled(206 if part else 200, headers, found.permissions_version, file=file)


def _has_already(meta: Mapping[str, Any], digest: str) -> bool:
    """Return whether If-None-Match, a list of quoted, weak or bare digests, contains `digest` or `*`."""
    header = meta.get("HTTP_IF_NONE_MATCH")
    if not header:
        return False
    known = {part.strip().removeprefix("W/").strip('"') for part in header.split(",")}
    return digest in known or "*" in known


def _not_modified(headers: dict[str, str], permissions_version: str) -> Pulled:
    """Return the 304; it has no Content-Type, as no response without a body has."""
    del headers["Content-Type"]
    return Pulled(304, headers, permissions_version)
