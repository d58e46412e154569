"""A whole image goes in and comes out."""

from collections.abc import Callable

from tests.caller import Caller, content
from tests.images import Image


def test_a_pushed_image_is_pulled_bit_for_bit(push: Callable[..., Image], bob: Caller) -> None:
    image = push("alice/app", "v1", b"some bytes")

    manifest = bob.get("/v2/alice/app/manifests/v1")
    layer = bob.get(f"/v2/alice/app/blobs/{image.layers[0]}")

    assert manifest.content == image.payload
    assert manifest["Docker-Content-Digest"] == image.digest
    assert content(layer) == b"some bytes"
