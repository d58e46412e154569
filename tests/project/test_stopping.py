"""Connections during a graceful stop."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project.starting import ANY_PORT, environment, gunicorn, wait_for
from tests.project.talk import PATIENCE_SECONDS, SmallServer, Talk, bearer, open_upload, until


class PatientServer(SmallServer):
    """A server that waits longer for an upload than a slow machine takes to end the other connections."""

    def command(self) -> list[str]:
        """Return what starts it."""
        return [*super().command(), "--graceful-timeout", "90"]


@dataclass(frozen=True, slots=True)
class Stop:
    """What was seen of a stop; each in the order of time."""

    was_quiet_ended: bool
    was_silent_ended: bool
    upload_status: int
    upload_connection: str
    was_upload_ended: bool
    exit_status: int


@pytest.fixture(scope="module")
def stop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stop]:
    """Stop a server that has a quiet connection, one that never said anything, and an upload that is half there."""
    server = PatientServer(tmp_path_factory.mktemp("stopping"))
    try:
        server.start()
        yield _stopped(server)
    finally:
        server.stop()


def _stopped(server: SmallServer) -> Stop:
    assert server.process is not None
    authorization = bearer(server)
    upload = open_upload(server, authorization)
    with Talk(server) as quiet, Talk(server) as silent, Talk(server) as uploading:
        assert quiet.ask("GET", "/health").status == 200
        uploading.send("PATCH", upload, authorization, "Content-Length: 10", body=b"hello")
        until(lambda: server.stored_bytes() == len(b"hello"))
        server.process.send_signal(signal.SIGTERM)
        was_quiet_ended, was_silent_ended = quiet.is_ended(), silent.is_ended()
        uploading.sock.sendall(b"world")
        answer = uploading.answer()
        was_upload_ended = uploading.is_ended()
    status = server.process.wait(2 * PATIENCE_SECONDS)
    return Stop(
        was_quiet_ended, was_silent_ended, answer.status, answer.headers["Connection"], was_upload_ended, status
    )


def test_idle_connections_are_closed_before_the_last_upload_ends(stop: Stop) -> None:
    assert stop.was_quiet_ended
    assert stop.was_silent_ended


def test_an_upload_is_finished(stop: Stop) -> None:
    assert stop.upload_status == 202


def test_the_last_response_announces_the_close(stop: Stop) -> None:
    assert stop.upload_connection == "close"
    assert stop.was_upload_ended


def test_the_server_exits_with_status_0(stop: Stop) -> None:
    assert stop.exit_status == 0


def test_a_terminal_that_is_closed_stops_the_server_that_was_started_at_it(
    tmp_path: Path, database: dict[str, str]
) -> None:
    """Its SIGHUP is no wish to reload: nobody would know of the server that goes on."""
    terminal, end = pty.openpty()
    command = ["setsid", "--ctty", "--wait", *gunicorn(*ANY_PORT)]
    with (tmp_path / "stderr").open("w") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(database), stdin=end, stdout=subprocess.PIPE, stderr=log, text=True
        )
    os.close(end)
    wait_for(process, tmp_path)

    os.close(terminal)

    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
