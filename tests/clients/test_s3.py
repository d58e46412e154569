"""Real clients against a registry with its blobs in S3: they push to it, and pull from S3 itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import image, random_layer
from tests.clients.server import started
from tests.s3.registry import S3Registry
from tests.s3.servers import SeaweedFS, running

LARGE_BYTES = 12 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Registry]:
    """Run the registry that the clients of this file speak to."""
    with running(SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))) as s3:
        registry = S3Registry(tmp_path_factory.mktemp("registry"), s3, s3.make_bucket("registry"))
        with started(registry):
            yield registry


@pytest.mark.client("skopeo")
def test_skopeo_pulls_the_blobs_that_it_pushed(skopeo: LogIn, server: S3Registry, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), image(tmp_path / "image", random_layer(), random_layer(LARGE_BYTES))
    remote = alice.docker("alice/skopeo:v1")

    alice.run("copy", "--preserve-digests", source.reference("v1"), remote)
    alice.run("copy", "--preserve-digests", remote, f"oci:{tmp_path}/pulled:v1")

    for digest in source.blobs():
        pulled = tmp_path / "pulled" / "blobs" / digest.replace(":", "/")
        assert pulled.read_bytes() == source.blobs()[digest]
    assert '"status": 307' in server.log_file.read_text()


@pytest.mark.client("podman")
def test_podman_pulls_the_image_that_it_pushed(podman: LogIn, tmp_path: Path) -> None:
    alice, source = podman("alice"), image(tmp_path / "image", random_layer(LARGE_BYTES))
    name = f"{alice.host}/alice/podman:v1"
    pulled = alice.run("pull", source.reference("v1")).splitlines()[-1]

    alice.run("push", pulled, name)
    alice.run("rmi", "--all", "--force")

    assert alice.run("pull", name).splitlines()[-1] == pulled
