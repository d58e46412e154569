"""kill -9 inside a multipart write to S3: nothing half-written is visible, and the collector aborts what is left."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from core.failpoints import NAMES
from tests.clients.server import Answer, started
from tests.faults.commands import Commands, commands_with
from tests.faults.pusher import CONNECTION_ERRORS, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of
from tests.s3.servers import S3Server, SeaweedFS, running

MIB = 1024 * 1024
STEPS = [name for name in NAMES if name.startswith("multipart.")]
# A day does not pass for S3, which knows when a write began.
_A_DAY_LATER = """
import os, sys
from datetime import timedelta
os.environ["DJANGO_SETTINGS_MODULE"] = "registry_project.settings"
import django
django.setup()
from django.core.management import execute_from_command_line
from distribution.uploads import sessions
sessions.EXPIRY = timedelta(0)
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


class OnS3(Registry):
    """A registry to break, whose blobs are in S3."""

    def __init__(self, folder: Path, s3: S3Server) -> None:
        super().__init__(folder)
        self.s3, self.bucket = s3, s3.make_bucket("kill")

    def configuration(self) -> dict[str, object]:
        server = {"addr": self.host, "workers": 1, "data_directory": str(self.data)}
        s3 = {"s3": self.s3.options(self.bucket), "redirect": False}
        return super().configuration() | {"server": server, "storage": s3}

    def objects(self) -> set[str]:
        return {key for key in self.s3.keys(self.bucket) if key.startswith("objects/")}

    def a_day_later(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command for which every unfinished write is old."""
        command = [sys.executable, "-c", _A_DAY_LATER, *words]
        return subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnS3]:
    """Run the registry that is killed."""
    with (
        running(SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))) as s3,
        started(OnS3(tmp_path_factory.mktemp("registry"), s3)) as registry,
    ):
        yield registry


@pytest.fixture(scope="module")
def commands(registry: OnS3) -> Iterator[Commands]:
    """Run commands beside it."""
    with commands_with(registry.environment()) as commands:
        yield commands


@pytest.fixture
def alice(registry: OnS3) -> Pusher:
    return Pusher(registry, "alice/app")


class Upload:
    """A blob of two parts, in an open session of which the requests before the last were made."""

    def __init__(self, alice: Pusher, *chunks: bytes) -> None:
        self.alice, self.content = alice, b"".join(chunks)
        self.digest = digest_of(self.content)
        *before, last = chunks
        location = alice.start()
        for chunk in before:
            location = alice.expect(202, "PATCH", location, chunk).headers["location"]
        self.location = location
        self.last: Callable[[], Answer] = partial(alice.send, "PUT", f"{location}?digest={self.digest}", last)


def in_one_request(alice: Pusher) -> Upload:
    """Send both parts by the closing PUT."""
    return Upload(alice, os.urandom(9 * MIB))


def joined_at_the_end(alice: Pusher) -> Upload:
    """Send chunks, which the closing PUT joins inside S3."""
    return Upload(alice, os.urandom(5 * MIB), os.urandom(5 * MIB), b"")


@pytest.mark.parametrize("way", [in_one_request, joined_at_the_end])
@pytest.mark.parametrize("step", STEPS)
def test_a_write_killed_at_any_step_shows_nothing_and_its_upload_goes_on(
    registry: OnS3, commands: Commands, alice: Pusher, step: str, way: Callable[[Pusher], Upload]
) -> None:
    upload = way(alice)
    registry.arm(f"{step}=kill")
    (worker,) = registry.workers()

    with pytest.raises(CONNECTION_ERRORS):
        upload.last()

    registry.wait_for_another(worker)
    assert alice.send("HEAD", f"blobs/{upload.digest}").status == 404
    registry.leave_writers_behind()
    assert upload.last().status == 201
    assert alice.send("GET", f"blobs/{upload.digest}").body == upload.content
    assert commands.run("fsck", "--deep").output == "no problems\n"


def test_fsck_names_and_aborts_what_a_killed_write_left(registry: OnS3, commands: Commands, alice: Pusher) -> None:
    upload = in_one_request(alice)
    registry.arm("multipart.after_part=kill")
    (worker,) = registry.workers()
    with pytest.raises(CONNECTION_ERRORS):
        upload.last()
    registry.wait_for_another(worker)
    registry.pass_time()
    assert commands.run("gc").status == 0

    found, repaired = (registry.a_day_later("fsck", *options) for options in ((), ("--repair",)))

    assert "never ended" in found.stdout
    assert repaired.returncode == 0
    assert registry.s3.unfinished(registry.bucket) == []
    assert commands.run("fsck").output == "no problems\n"


def test_the_collector_aborts_what_a_killed_write_left_after_its_day(
    registry: OnS3, commands: Commands, alice: Pusher
) -> None:
    upload = joined_at_the_end(alice)
    registry.arm("multipart.after_part=kill")
    (worker,) = registry.workers()
    with pytest.raises(CONNECTION_ERRORS):
        upload.last()
    registry.wait_for_another(worker)

    for _ in range(2):
        registry.pass_time()
        assert commands.run("gc").status == 0
    left = registry.s3.unfinished(registry.bucket)
    registry.a_day_later("gc")

    assert left
    assert registry.s3.unfinished(registry.bucket) == []
    assert registry.objects() == registry.keys()["blobs"]
    assert not registry.rows("SELECT id FROM distribution_upload")
