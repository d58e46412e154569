"""The recipes of docs/clients.md whose clients need nothing else to be running; the others are with their clients."""

from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import multi_arch_image
from tests.clients.recipes import follow, recipe, tags_of
from tests.clients.server import Server


@pytest.mark.client("podman")
def test_the_recipe_of_podman_works(server: Server, tmp_path: Path) -> None:
    follow(recipe("podman", server), tmp_path)

    assert tags_of(server, "alice/from-podman") == ["v1"]


@pytest.mark.client("skopeo")
def test_the_recipe_of_skopeo_works(server: Server, skopeo: LogIn, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), multi_arch_image(tmp_path / "source")
    alice.run("copy", "--all", "--preserve-digests", source.reference("v1"), alice.docker("alice/app:v1"))

    follow(recipe("skopeo", server), tmp_path)

    copied = alice.run("inspect", "--raw", alice.docker("alice/from-skopeo:v1"))
    assert copied.encode() == source.blobs()[source.manifest_digest()]
    assert tags_of(server, "alice/copied") == []
