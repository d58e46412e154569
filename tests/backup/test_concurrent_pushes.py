"""A backup beside clients that push and a collector that spins: whatever was acknowledged before it is in it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backup.place import LAYER, Place
from tests.clients.server import ROOT
from tests.faults.pusher import CONNECTION_ERRORS, Artifact, Pusher, RefusedError

CLIENTS = 4
KEPT_BEFORE = 8
BACKUPS = 2


class Client(threading.Thread):
    """Pushes image after image into a repository of its own, keeps every third, and deletes the others."""

    def __init__(self, place: Place, number: int, is_over: threading.Event) -> None:
        """Push nothing yet."""
        super().__init__(daemon=True)
        self.alice = Pusher(place, f"alice/{number}")
        self.kept: list[tuple[Artifact, str]] = []
        self.faults: list[str] = []
        self._is_over = is_over

    def run(self) -> None:
        """Push until told to stop."""
        count = 0
        while not self._is_over.is_set():
            count += 1
            image, tag = Artifact(LAYER, (f"{self.alice.repository} {count} ".encode() * 500, b"more")), f"v{count}"
            try:
                self.alice.push(image, tag)
                if count % 3:
                    self.alice.expect(202, "DELETE", f"manifests/{tag}")
                else:
                    self.kept.append((image, tag))
            except RefusedError as refusal:
                # Without any grace, a blob may be collected before the manifest that names it comes.
                if refusal.answer.status not in (400, 404, 503):
                    self.faults.append(str(refusal))
            except CONNECTION_ERRORS as error:
                self.faults.append(repr(error))


@contextmanager
def spinning(place: Place, folder: Path) -> Iterator[None]:
    """Collect all the time without any grace, and delete what that throws away within seconds."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.stress.spinner", "0", "real", str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=place.environment(), stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=True)
        process.wait()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Run a registry."""
    place = Place(tmp_path / "place")
    try:
        place.start()
        place.pusher().upload_whole(LAYER)
        yield place
    finally:
        place.stop()


def test_what_was_acknowledged_before_a_backup_is_in_it(place: Place, tmp_path: Path) -> None:
    is_over, backup, target = threading.Event(), tmp_path / "backup", Place(tmp_path / "target")
    place.pusher().push(Artifact(LAYER, (b"keeps what all mount",)), "kept")
    clients = [Client(place, number, is_over) for number in range(CLIENTS)]
    try:
        with spinning(place, tmp_path / "collector"):
            for client in clients:
                client.start()
            acknowledged: list[tuple[Client, list[tuple[Artifact, str]]]] = []
            for _ in range(BACKUPS):
                wait_for_more(clients)
                acknowledged = [(client, list(client.kept)) for client in clients]
                place.does("backup", backup)
            is_over.set()
            for client in clients:
                client.join()
        target.does("restore", "--verify", backup)
        target.start()
        lost = [
            (client.alice.repository, tag)
            for client, kept in acknowledged
            for image, tag in kept
            if not Pusher(target, client.alice.repository).pull(image, tag)
        ]

        assert [fault for client in clients for fault in client.faults] == []
        assert lost == []
        assert target.does("fsck", "--deep") == "no problems\n"
    finally:
        is_over.set()
        target.stop()


def wait_for_more(clients: list[Client]) -> None:
    """Return once every client has pushed more images that stay."""
    before, deadline = [len(client.kept) for client in clients], time.monotonic() + 120
    while any(len(client.kept) < count + KEPT_BEFORE // CLIENTS for client, count in zip(clients, before, strict=True)):
        assert time.monotonic() < deadline, [client.faults for client in clients]
        time.sleep(0.05)
