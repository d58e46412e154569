"""Indexes and tags that clients put in ways of their own."""

import json

from distribution.models import Link, Manifest
from distribution.protocol import spec
from tests.caller import Caller, error_codes
from tests.images import descriptor, digest_of, index, push_blob, put_manifest

LAYER = b"a layer of a cache"
CONFIG = b'{"layers": []}'
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


def cache() -> bytes:
    """Return an index as BuildKit before 0.21 exports its cache: no manifests, but layers and a config."""
    return index(manifests=[descriptor(LAYER, spec.OCI_LAYER), descriptor(CONFIG, CACHE_CONFIG)])


def test_a_cache_of_buildkit_is_an_index_of_blobs_and_holds_them(alice: Caller) -> None:
    for content in (LAYER, CONFIG):
        push_blob(alice, "alice/app", content)

    response = put_manifest(alice, "alice/app", "cache", cache())

    assert response.status_code == 201
    assert list(Link.objects.values_list("is_unreferenced", flat=True)) == [False, False]


def test_a_blob_that_an_index_lists_and_nobody_pushed_is_unknown(alice: Caller) -> None:
    push_blob(alice, "alice/app", LAYER)

    response = put_manifest(alice, "alice/app", "cache", cache())

    assert error_codes(response) == ["MANIFEST_BLOB_UNKNOWN"]
    assert json.loads(response.content)["errors"][0]["detail"] == {"digest": digest_of(CONFIG)}
    assert not Manifest.objects.exists()
