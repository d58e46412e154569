"""A server that was told to stop says that new requests belong elsewhere: on open connections, or in a drain on any."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

from tests.clients.server import started
from tests.project.talk import PATIENCE_SECONDS, SmallServer, Talk, bearer, open_upload, until


def is_closed(server: SmallServer) -> bool:
    """Return whether the server takes no more connections."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
    except ConnectionError:
        return True
    return False


def test_a_stopping_server_is_not_ready(tmp_path: Path) -> None:
    server = SmallServer(tmp_path)
    try:
        server.start()
        assert server.process is not None
        authorization = bearer(server)
        upload = open_upload(server, authorization)
        with Talk(server) as probing, Talk(server) as uploading:
            uploading.send("PATCH", upload, authorization, "Content-Length: 10", body=b"hello")
            until(lambda: server.stored_bytes() == len(b"hello"))
            probing.sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: registry\r\n")
            server.process.send_signal(signal.SIGTERM)
            until(lambda: is_closed(server))

            probing.sock.sendall(b"\r\n")
            answer = probing.answer()

            said = json.loads(answer.content)  # type: ignore[attr-defined]
            assert (answer.status, said) == (503, {"status": "draining"})
            uploading.sock.sendall(b"world")
            assert uploading.answer().status == 202
    finally:
        server.stop()


class DrainingServer(SmallServer):
    """A server that serves on after SIGTERM, for a time that each test sets."""

    drain = "1h"

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says, with `server.drain`."""
        server: Any = super().configuration()["server"]
        return super().configuration() | {"server": server | {"drain": self.drain, "watch_config": True}}


def readiness(server: SmallServer) -> int:
    """Return the status of /readyz on a new connection."""
    return server.request("GET", "/readyz").status


def test_a_draining_server_is_not_ready_and_serves_on_until_it_is_told_again(tmp_path: Path) -> None:
    with started(DrainingServer(tmp_path)) as server:
        assert server.process is not None
        authorization = bearer(server)
        token = authorization.removeprefix("Authorization: ")
        before = readiness(server)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: readiness(server) == 503)

        upload = server.request("PATCH", open_upload(server, authorization), authorization=token, body=b"late")
        others = [server.request("GET", path).status for path in ("/livez", "/health")]
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert (before, upload.status, others) == (200, 202, [200, 200])


def test_a_drain_ends_by_itself(tmp_path: Path) -> None:
    server = DrainingServer(tmp_path)
    server.drain = "500ms"
    with started(server):
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_worker_that_replaces_another_during_a_drain_is_not_ready(tmp_path: Path) -> None:
    with started(DrainingServer(tmp_path)) as server:
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        until(lambda: readiness(server) == 503)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: server.workers() not in ([], [worker]))

        assert readiness(server) == 503
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_SECONDS) == 0
