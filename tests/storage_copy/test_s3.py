"""From a folder to SeaweedFS, to another bucket, and back: kills and pushes in between lose nothing, uploads go on."""

import os
import signal
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from distribution.storage.s3_parts import PART_BYTES
from tests.faults.pusher import Artifact, Pusher
from tests.images import digest_of
from tests.s3.servers import S3Server, SeaweedFS, running
from tests.storage_copy.conftest import Folder, MovingPlace

LARGE = os.urandom(PART_BYTES + 1)


@pytest.fixture
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running(SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))) as server:
        yield server


class Client:
    """Alice, who pushes images and knows what has to be there, and one upload that stays open."""

    def __init__(self, alice: Pusher) -> None:
        self.alice = alice
        self.images: dict[str, Artifact] = {}
        self.sent = b""
        self.location = ""
        self._number = count()

    def push(self) -> None:
        tag = f"v{next(self._number)}"
        self.images[tag] = Artifact(LARGE, (tag.encode() * 100, b"more"))
        self.alice.push(self.images[tag], tag)

    def send_chunk(self) -> None:
        """Continue the open upload."""
        chunk = os.urandom(1000)
        location = self.location or self.alice.start()
        self.location = self.alice.expect(202, "PATCH", location, chunk).headers["location"]
        self.sent += chunk

    def finds_all(self) -> bool:
        return all(self.alice.pull(image, tag) for tag, image in self.images.items())

    def end_upload(self) -> bytes:
        """Complete the open upload, and return what the registry has."""
        digest = digest_of(self.sent)
        self.alice.expect(201, "PUT", f"{self.location}?digest={digest}", b"")
        return self.alice.send("GET", f"blobs/{digest}").body


def move(place: MovingPlace, storage: dict[str, Any], client: Client) -> list[int]:
    """Copy in three runs, the first of them killed, with a push after each but the last; start on the copy."""
    statuses = [place.migrate(storage, failpoints="migratestorage.after_object=kill@3")[0]]
    client.push()
    statuses.append(place.migrate(storage)[0])
    client.push()
    client.send_chunk()
    place.end()
    statuses.append(place.migrate(storage)[0])
    place.switch(storage)
    place.start()
    return statuses


def test_a_registry_moves_to_s3_to_another_bucket_and_back(
    place: MovingPlace, target: Folder, seaweedfs: S3Server
) -> None:
    bucket = {"s3": seaweedfs.options(seaweedfs.make_bucket("moved")) | {"location": "below"}, "redirect": False}
    another = {"s3": seaweedfs.options(seaweedfs.make_bucket("another")), "redirect": False}
    place.start()
    client = Client(place.pusher())
    client.alice.upload_whole(LARGE)
    client.push()
    client.send_chunk()

    moves, found = [], []
    for storage in (bucket, another):
        moves.append(move(place, storage, client))
        client.send_chunk()
        client.send_chunk()
        client.push()
        found.append((client.finds_all(), place.does("fsck", "--deep")))
    moves.append(move(place, target.storage, client))
    client.send_chunk()

    assert moves == [[-signal.SIGKILL, 4, 0]] * 3
    assert found == [(True, "no problems\n")] * 2
    assert client.end_upload() == client.sent
    assert client.finds_all()
    assert place.does("fsck", "--deep") == "no problems\n"
    assert len(client.images) == 9
