"""umoci changes images in a folder; skopeo carries them to the registry and back."""

import json
import os
from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import image
from tests.clients.program import Program
from tests.clients.recipes import follow, recipe, tags_of
from tests.clients.server import Server

pytestmark = pytest.mark.client("umoci", "skopeo")


@pytest.fixture
def umoci() -> Program:
    """Return the program. It talks to no registry and has no login."""
    return Program(("umoci",), "")


@pytest.fixture
def pulled(skopeo: LogIn, tmp_path: Path) -> Path:
    """Push alice/app:v1, pull it and return the folder that it is in."""
    alice, source = skopeo("alice"), image(tmp_path / "source")
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/app:v1"))
    alice.run("copy", "--preserve-digests", alice.docker("alice/app:v1"), f"oci:{tmp_path}/given:v1")
    return tmp_path / "given"


def unpack(umoci: Program, reference: str, bundle: Path) -> Path:
    """Unpack an image into `bundle` and return its root folder."""
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    umoci.run("unpack", *rootless, "--image", reference, str(bundle))
    return bundle / "rootfs"


def test_what_was_changed_in_an_unpacked_image_comes_back(
    umoci: Program, skopeo: LogIn, pulled: Path, tmp_path: Path
) -> None:
    alice, remote = skopeo("alice"), skopeo("alice").docker("alice/umoci:v2")
    root = unpack(umoci, f"{pulled}:v1", tmp_path / "bundle")
    (root / "greeting").write_text("hello")
    umoci.run("repack", "--image", f"{pulled}:v2", str(tmp_path / "bundle"))

    alice.run("copy", "--preserve-digests", f"oci:{pulled}:v2", remote)
    alice.run("copy", "--preserve-digests", remote, f"oci:{tmp_path}/again:v2")

    root_again = unpack(umoci, f"{tmp_path}/again:v2", tmp_path / "bundle-again")
    assert (root_again / "greeting").read_text() == "hello"
    assert (root_again / "content").read_bytes() == (root / "content").read_bytes()


def test_an_image_of_umoci_keeps_its_digest(umoci: Program, skopeo: LogIn, tmp_path: Path) -> None:
    alice, folder = skopeo("alice"), tmp_path / "new"
    umoci.run("init", "--layout", str(folder))
    umoci.run("new", "--image", f"{folder}:v1")
    umoci.run("config", "--image", f"{folder}:v1", "--config.cmd=/greeting")

    alice.run("copy", "--preserve-digests", f"oci:{folder}:v1", alice.docker("alice/umoci-new:v1"))

    digest = alice.run("inspect", "--format={{.Digest}}", alice.docker("alice/umoci-new:v1"))
    assert digest == json.loads((folder / "index.json").read_bytes())["manifests"][0]["digest"]


def test_the_documented_recipe_works(server: Server, pulled: Path, tmp_path: Path) -> None:
    follow(recipe("umoci", server), tmp_path)

    assert tags_of(server, "alice/from-umoci") == ["v2"]
