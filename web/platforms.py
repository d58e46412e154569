"""The platforms of manifests: those that an index lists, and that of the config of a single image.

A config is a small blob: those of a list's images are read from the storage when they are first shown. A digest names
its bytes, so each process keeps what it has read.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from core.caches import TTLCache
from distribution.manifests.sizes import MAX_CHILDREN
from distribution.models import Blob, Manifest
from distribution.protocol.spec import DOCKER_CONFIG, INDEX_TYPES, OCI_CONFIG
from web import stored
from web.document import document_of, list_of, object_of, text_of

# Larger payloads and configs are not looked into for a list.
MAX_PAYLOAD_BYTES = 64 * 1024
IMAGE_CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
# Then a list shows what has been read, and its next view goes on.
MAX_SECONDS = 0.5
MAX_PLATFORM_CHARACTERS = 100
_CACHE_SECONDS = 24 * 3600.0

_of_configs: TTLCache[str] = TTLCache(_CACHE_SECONDS, name="platforms")


def platforms_of(repository: int, manifests: Sequence[int]) -> Mapping[int, list[str]]:
    """Return the platforms of manifests of a repository by primary key; what is not known is missing."""
    columns = ("pk", "media_type", "payload")
    rows = Manifest.objects.filter(pk__in=manifests, size__lte=MAX_PAYLOAD_BYTES).values_list(*columns)
    found: dict[int, list[str]] = {}
    configs: dict[int, str] = {}
    for pk, media_type, payload in rows:
        document = document_of(bytes(payload))
        if media_type in INDEX_TYPES:
            found[pk] = platforms_in(document)
        elif text_of((config := object_of(document.get("config"))).get("mediaType")) in IMAGE_CONFIGS:
            configs[pk] = text_of(config.get("digest"))
    read = _read(repository, set(configs.values()))
    return found | {pk: [platform] for pk, digest in configs.items() if (platform := read.get(digest))}


def platforms_of_one(repository: int, media_type: str, document: Mapping[str, object]) -> list[str]:
    """Return the platforms of an index, or of an image, whose config is read; empty when they are not known."""
    if media_type in INDEX_TYPES:
        return platforms_in(document)
    config = object_of(document.get("config"))
    if text_of(config.get("mediaType")) not in IMAGE_CONFIGS:
        return []
    return [platform for platform in _read(repository, {text_of(config.get("digest"))}).values() if platform]


def platforms_in(index: Mapping[str, object]) -> list[str]:
    """Return the platforms of an index's images, as `linux/arm64/v8`; attestations have `unknown`, and none here."""
    found = (platform_of(object_of(entry).get("platform")) for entry in list_of(index.get("manifests"))[:MAX_CHILDREN])
    return list(dict.fromkeys(platform for platform in found if platform))


def platform_of(value: object) -> str:
    """Return a platform as text; "" for none, or an unknown one."""
    parts = [text_of(object_of(value).get(key)) for key in ("os", "architecture", "variant")]
    return "" if "unknown" in parts else "/".join(filter(None, parts))


def _read(repository: int, digests: set[str]) -> dict[str, str]:
    """Return the platforms of configs by digest: as many as MAX_SECONDS allow, unless the storage fails."""
    found = {digest: known for digest in digests if (known := _of_configs.get(digest)) is not None}
    unknown = digests - found.keys()
    if not unknown:
        return found
    linked = Blob.objects.filter(links__repository=repository, digest__in=unknown, is_corrupt=False)
    blobs = list(linked.filter(size__lte=MAX_PAYLOAD_BYTES))
    ends_at = time.monotonic() + MAX_SECONDS
    with suppress(stored.UnreadableError):
        for blob in blobs:
            platform = platform_of(document_of(stored.content(blob)))[:MAX_PLATFORM_CHARACTERS]
            found[blob.digest] = platform
            _of_configs.put(blob.digest, platform)
            if time.monotonic() > ends_at:
                break
    return found
