"""A disk that takes bytes slowly."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.clients.server import kill_group, started
from tests.project.talk import SmallServer, Talk, bearer, open_upload, until

BODY_BYTES = 2 * 1024 * 1024


class SlowDisk(SmallServer):
    """A server whose every write takes longer than a test waits for an answer."""

    def environment(self) -> dict[str, str]:
        """Return the environment of the server."""
        return super().environment() | {"REG_FAILPOINTS": "upload.write=sleep:90"}

    def end(self) -> None:
        """End it at once: nobody waits for its uploads."""
        if self.process is not None:
            kill_group(self.process.pid)
        super().end()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowDisk]:
    """Run a server on a slow disk."""
    slow = SlowDisk(tmp_path_factory.mktemp("slow"))
    with started(slow):
        yield slow


def test_uploads_that_wait_for_the_disk_keep_no_thread(server: SlowDisk) -> None:
    authorization = bearer(server)
    uploads = [open_upload(server, authorization) for _ in range(2 * server.threads + 1)]
    with ExitStack() as stack:
        for upload in uploads:
            talk = stack.enter_context(Talk(server))
            talk.send("PATCH", upload, authorization, f"Content-Length: {BODY_BYTES}", body=os.urandom(BODY_BYTES))
        until(lambda: len(list(server.data.glob("objects/*/*"))) >= server.threads)

        with Talk(server) as other:
            assert other.ask("GET", "/health").status == 200
