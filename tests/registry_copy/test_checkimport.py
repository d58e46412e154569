"""`manage.py checkimport` before a server that answers otherwise than the tree says, and before none."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pytest_django import Settings

from tests.images import digest_of
from tests.ports import free_port
from tests.registry_copy.conftest import manage
from tests.registry_copy.source import NAME, SourceTree

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("disk")]


class Fake(BaseHTTPRequestHandler):
    """Answers with the digest of each path that the server has."""

    def do_HEAD(self) -> None:
        digest = DIGESTS.get(self.path)
        self.send_response(404 if digest is None else 200)
        self.send_header("Docker-Content-Digest", digest or "")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


DIGESTS: dict[str, str] = {}


@pytest.fixture
def other() -> Iterator[int]:
    """Run another server."""
    DIGESTS.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Fake) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def listen(settings: Settings, port: int) -> None:
    registry = settings.REGISTRY
    settings.REGISTRY = replace(registry, server=replace(registry.server, host="", port=port))


def test_another_server_is_named(settings: Settings, source: SourceTree, other: int) -> None:
    listen(settings, other)

    ran = manage("checkimport", str(source.root))

    assert ran.status == 1
    assert f"http://127.0.0.1:{other}/health is 404: is that another server?" in ran.output


def test_a_server_that_does_not_run_is_named(settings: Settings, source: SourceTree) -> None:
    listen(settings, port := free_port())

    assert f"http://127.0.0.1:{port} does not answer" in manage("checkimport", str(source.root)).output


def test_a_folder_without_a_registry_is_refused(source: SourceTree) -> None:
    ran = manage("checkimport", str(source.root / "docker/registry/v2/repositories"))

    assert ran.status == 1
    assert "no registry's storage" in ran.output


def test_each_tag_that_answers_otherwise_is_named(
    settings: Settings, cast: None, source: SourceTree, other: int
) -> None:
    listen(settings, other)
    payload = source.push_image(b"one", "same", "moved", "gone")
    source.push_image(b"two", "broken")
    source.tag_link("broken").write_text("nothing")
    digest, manifests = digest_of(payload), f"/v2/{NAME}/manifests"
    DIGESTS.update({"/health": "none", f"{manifests}/same": digest, f"{manifests}/moved": "sha256:0"})

    ran = manage("checkimport", str(source.root))

    assert ran.status == 1
    assert f"{NAME}:moved: it is sha256:0 here, and {digest} there" in ran.output
    assert f"{NAME}:gone: the answer is 404" in ran.output
    assert f"{NAME}:broken: its link" in ran.output
    assert f"{NAME}:same" not in ran.output
    assert "3 of 4 tags of 1 repository answer otherwise than there" in ran.output


def test_a_repository_that_nobody_may_pull_is_named(settings: Settings, source: SourceTree, other: int) -> None:
    listen(settings, other)
    DIGESTS["/health"] = "none"
    source.push_image(b"one", "v1")

    ran = manage("checkimport", str(source.root))

    assert ran.status == 0
    assert f"{NAME}: not asked for, since no account may pull it" in ran.output
    assert "0 tags of 0 repositories answer with the same digest" in ran.output
