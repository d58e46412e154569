"""The platforms of single images in the list of tags, read from their configs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from distribution.protocol.spec import DOCKER_CONFIG, DOCKER_MANIFEST
from tests.caller import Caller
from tests.images import put_manifest
from tests.web.image.artifacts import blob, image
from tests.web.test_pages import signed_in, text_of
from web import platforms, stored
from web.stored import UnreadableError

APP = "/repositories/alice/app"
CELL = 'data-label="Platforms">'
ARM = {"os": "linux", "architecture": "arm64", "variant": "v8"}


@pytest.fixture(autouse=True)
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Forget what was read before, and return the digests of the configs that are read."""
    digests: list[str] = []
    content = stored.content

    def counted(found: Any) -> bytes:
        digests.append(found.digest)
        return content(found)

    monkeypatch.setattr(stored, "content", counted)
    platforms._of_configs.clear()
    yield digests
    platforms._of_configs.clear()


def shown() -> list[str]:
    """Return the platforms of the tags, in the order of the page."""
    return [part.partition("<")[0] for part in text_of(signed_in("alice"), APP).split(CELL)[1:]]


def test_an_image_of_oci_shows_what_its_config_says(alice: Caller) -> None:
    image(alice, ARM, b"layer", reference="v1")

    assert shown() == ["linux/arm64/v8"]


def test_an_image_of_docker_shows_what_its_config_says(alice: Caller) -> None:
    config = blob(alice, {"os": "windows", "architecture": "amd64"}, DOCKER_CONFIG)
    document = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": []}
    assert put_manifest(alice, "alice/app", "v1", json.dumps(document).encode()).status_code == 201

    assert shown() == ["windows/amd64"]


def test_a_config_is_read_once(alice: Caller, read: list[str]) -> None:
    image(alice, ARM, b"one", reference="v1")
    image(alice, ARM, b"two", reference="v2")

    assert shown() == shown() == ["linux/arm64/v8"] * 2
    assert len(read) == 1


def test_the_next_view_goes_on_where_the_time_ended(
    alice: Caller, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        image(alice, ARM | {"created": f"{number}"}, b"layer", reference=f"v{number}")
    monkeypatch.setattr(platforms, "MAX_SECONDS", -1)

    assert [shown().count("linux/arm64/v8") for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    "config", [[], "x", {"os": {}, "architecture": 7}, {"os": "unknown", "architecture": "unknown"}, {"config": 1}]
)
def test_a_config_of_another_shape_shows_no_platform(alice: Caller, config: object) -> None:
    image(alice, config, b"layer", reference="v1")

    assert shown() == ["—"]


def test_a_large_config_is_not_read(alice: Caller, read: list[str]) -> None:
    image(alice, ARM | {"x": "x" * platforms.MAX_PAYLOAD_BYTES}, b"layer", reference="v1")

    assert (shown(), read) == (["—"], [])


def test_a_hostile_platform_is_short_text(alice: Caller) -> None:
    image(alice, {"os": "<script>" + "x" * 5000, "architecture": "amd64"}, b"layer", reference="v1")

    (found,) = shown()
    assert found.startswith("&lt;script&gt;xxx")
    assert len(found) < 2 * platforms.MAX_PLATFORM_CHARACTERS


def test_without_the_storage_the_list_is_shown(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    image(alice, ARM, b"layer", reference="v1")

    def fails(_blob: object) -> bytes:
        raise UnreadableError("The storage does not answer.", 503)

    monkeypatch.setattr(stored, "content", fails)

    assert shown() == ["—"]
