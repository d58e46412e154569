"""A server that was told to stop says on open connections that new requests belong elsewhere."""

import json
import signal
import socket
from pathlib import Path

from tests.project.talk import SmallServer, Talk, bearer, open_upload, until


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
