"""`manage.py checkimport` before a server that is none of ours, and a server that is none; the rest: test_move."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pytest_django import Settings

from tests.ports import free_port
from tests.registry_copy.conftest import manage
from tests.registry_copy.source import SourceTree

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("disk")]


class NotFound(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[int]:
    """Run another server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), NotFound) as server:
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
