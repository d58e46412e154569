"""The events of the real docker-registry, which `test_distribution` has as a table."""

import hashlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ports import free_port
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_distribution import CONTENT_TYPE, FIELDS, OF_ALL, kind_of, paths

pytestmark = pytest.mark.client("docker-registry")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Peer:
    """docker-registry without accounts."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        url = path if path.startswith("http") else self.base + path
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return urllib.request.urlopen(urllib.request.Request(url, body, named, method=method), timeout=5)

    def push_blob(self, repository: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        location = self.ask("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["Location"]
        self.ask("PUT", f"{location}&digest={digest}", content, Content_Type="application/octet-stream")
        return digest


@pytest.fixture
def peer(tmp_path: Path, receiver: Receiver) -> Iterator[Peer]:
    """Start docker-registry with the receiver as its endpoint."""
    port = free_port()
    endpoint = {"name": "ci", "url": receiver.url, "timeout": "5s", "threshold": 3, "backoff": "1s"}
    configuration = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "notifications": {"endpoints": [endpoint]},
    }
    (tmp_path / "config.yml").write_text(yaml.safe_dump(configuration))
    found = Peer(port)
    with subprocess.Popen(["docker-registry", "serve", str(tmp_path / "config.yml")]) as process:
        try:
            for _ in range(100):
                try:
                    found.ask("GET", "/v2/")
                    break
                except OSError:
                    time.sleep(0.1)
            yield found
        finally:
            process.terminate()


def test_it_sends_the_fields_that_are_compared(peer: Peer, receiver: Receiver) -> None:
    config, layer = peer.push_blob("a/b", b"{}"), peer.push_blob("a/b", b"layer")
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 5}],
    }
    payload = json.dumps(body).encode()
    peer.ask("PUT", "/v2/a/b/manifests/v1", payload, Content_Type=MANIFEST)
    peer.ask("GET", "/v2/a/b/manifests/v1", Accept=MANIFEST)
    peer.ask("GET", f"/v2/a/b/blobs/{layer}")
    peer.ask("POST", f"/v2/a/c/blobs/uploads/?mount={layer}&from=a/b", b"")
    peer.ask("DELETE", f"/v2/a/b/manifests/sha256:{hashlib.sha256(payload).hexdigest()}")

    ends_at = time.monotonic() + 20
    while len(receiver.accepted) < 8 and time.monotonic() < ends_at:
        time.sleep(0.05)

    assert {request.headers["content-type"] for request in receiver.accepted} == {CONTENT_TYPE}
    found = {kind_of(request.event): set(paths(request.event)) for request in receiver.accepted}
    assert found == {kind: OF_ALL | fields for kind, fields in FIELDS.items()}
