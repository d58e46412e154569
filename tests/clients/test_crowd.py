"""Twenty clients at once."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import Layout, image, random_layer
from tests.clients.program import Program
from tests.clients.server import Server

pytestmark = pytest.mark.client("skopeo")

CROWD = 20


def at_once(act: Callable[[int], object]) -> None:
    """Call `act` with each number of the crowd at the same time; raise what any of them raises."""
    with ThreadPoolExecutor(CROWD) as crowd:
        list(crowd.map(act, range(CROWD)))


def there_and_back(client: Program, layout: Layout, folder: Path, remote: str) -> None:
    """Push an image, pull it, and compare."""
    client.run("copy", "--preserve-digests", layout.reference("v1"), client.docker(remote))
    client.run("copy", "--preserve-digests", client.docker(remote), f"oci:{folder}:v1")
    came_back = {f"sha256:{file.name}": file.read_bytes() for file in folder.glob("blobs/sha256/*")}
    assert came_back == layout.blobs()


def test_a_crowd_pushes_and_pulls_images_that_share_a_layer(server: Server, skopeo: LogIn, tmp_path: Path) -> None:
    shared = random_layer(1 << 20)
    layouts = [image(tmp_path / f"image-{n}", shared, random_layer()) for n in range(CROWD)]
    clients = [skopeo("alice") for _ in range(CROWD)]

    at_once(lambda n: there_and_back(clients[n], layouts[n], tmp_path / f"pulled-{n}", f"alice/crowd-{n}:v1"))

    pushed = {digest for layout in layouts for digest in layout.blobs()}
    rows = Counter(blob.digest for blob in server.blobs() if blob.digest in pushed)
    assert rows == Counter(pushed - {layout.manifest_digest() for layout in layouts})


def test_a_crowd_pushes_one_tag(server: Server, skopeo: LogIn, tmp_path: Path) -> None:
    layouts = [image(tmp_path / f"image-{n}") for n in range(CROWD)]
    clients = [skopeo("alice") for _ in range(CROWD)]
    remote = clients[0].docker("alice/one-tag:v1")

    at_once(lambda n: clients[n].run("copy", "--preserve-digests", layouts[n].reference("v1"), remote))

    winner = clients[0].run("inspect", "--raw", remote).encode()
    assert winner in [layout.blobs()[layout.manifest_digest()] for layout in layouts]
