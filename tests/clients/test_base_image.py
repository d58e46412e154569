"""The Dockerfile is pinned to what a registry says, which here is one of ours."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from supply import base_image
from tests.images import digest_of, index, manifest

INDEX = index(manifest(b"{}"))
STALE = "@sha256:" + "0" * 64
pytestmark = pytest.mark.client("skopeo")


@pytest.fixture(scope="module")
def index_host() -> Iterator[str]:
    """Serve one index; yield the host."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = INDEX if self.path == "/v2/python/manifests/3.13" else b"{}"
            self.send_response(200 if self.path in {"/v2/", "/v2/python/manifests/3.13"} else 404)
            self.send_header("Content-Type", "application/vnd.oci.image.index.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("before", ["", STALE])
def test_the_digest_of_the_tag_is_written(
    before: str, index_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Dockerfile").write_text(f"# base\nARG BASE={index_host}/python:3.13{before}\n\nFROM ${{BASE}}\n")

    status = base_image.main(["--tls-verify=false"])

    assert status == 0
    pinned = f"# base\nARG BASE={index_host}/python:3.13@{digest_of(INDEX)}\n\nFROM ${{BASE}}\n"
    assert Path("Dockerfile").read_text() == pinned


def test_a_tag_that_is_not_there_changes_nothing(
    index_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written = f"ARG BASE={index_host}/python:4{STALE}\n"
    Path("Dockerfile").write_text(written)

    status = base_image.main(["--tls-verify=false"])

    assert status == 1
    assert Path("Dockerfile").read_text() == written
    assert f"{index_host}/python:4: no manifest of it" in capfd.readouterr().err


def test_the_dockerfile_of_the_project_can_be_pinned() -> None:
    found = base_image.BASE.search((Path(base_image.__file__).parents[1] / "Dockerfile").read_text())

    assert found
    assert found["tag"].startswith("docker.io/library/python:")
