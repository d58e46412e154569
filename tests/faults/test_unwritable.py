"""Nothing can be written: what was pushed before is pulled, and what was promised meanwhile is not collected after."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import yaml

from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.faults.registry import PATIENCE_SECONDS, Registry
from tests.faults.unwritable import OnVolume, full, locked, read_only_for_good, read_only_server, volume
from tests.images import digest_of
from tests.postgresql import Cluster

IMAGE = Artifact(b"a layer", (b"of an image ", b"that nobody has asked for since yesterday"))
NEW = Artifact(b"a layer", (b"of an image ", b"that is pushed when it can be"))
ALONE = b"a blob that no manifest names"
ASKED = f"blobs/{digest_of(ALONE)}"

Fault = Callable[[Registry], AbstractContextManager[None]]
ON_SQLITE = {"locked": locked, "full": full, "read-only": read_only_for_good}
REASONS = {
    "full": b"can't be written: its disk is full",
    "read-only": b"can't be",
    "read-only server": b"can't be written: it is read-only",
}


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Run a registry with an old image and an old blob on a database that can break as the test asks."""
    kind = request.getfixturevalue("kind")
    if kind == "read-only server":
        postgresql: Cluster = request.getfixturevalue("postgresql")
        monkeypatch.setenv("REGISTRY_DATABASE_URL", f"{postgresql.url}/postgres")
        yield from serving(Registry(tmp_path))
        return
    if os.environ.get("REGISTRY_DATABASE_URL"):
        pytest.skip("SQLite's is tested where no other database is named")
    with volume(tmp_path) as folder:
        (folder / "registry").mkdir()
        yield from serving(OnVolume(folder / "registry", tmp_path / "server.log"))


def serving(registry: Registry) -> Iterator[Registry]:
    try:
        registry.start()
        alice = Pusher(registry, SHARED)
        alice.upload_whole(IMAGE.shared)
        alice.upload_whole(ALONE)
        alice.push(IMAGE)
        registry.pass_time()
        yield registry
    finally:
        registry.end()


@pytest.fixture
def alice(registry: Registry) -> Pusher:
    """Be somebody with a token."""
    alice = Pusher(registry, SHARED)
    assert alice.token
    return alice


@pytest.fixture
def fault(kind: str) -> Fault:
    """Return what makes the database unwritable."""
    return read_only_server if kind == "read-only server" else ON_SQLITE[kind]


def stop_worker(registry: Registry) -> None:
    """Let the one worker stand still."""
    (worker,) = registry.workers()
    os.kill(worker, signal.SIGSTOP)
    registry.wait_until_stopped()


def last_used_at(registry: Registry) -> str:
    """Return the moment of the last promise of the blob that no manifest names."""
    links = "distribution_link JOIN distribution_blob blob ON blob.id = blob_id"
    query = f"SELECT last_used_at FROM {links} WHERE digest = '{{}}'"
    ((moment,),) = registry.rows(query.format(digest_of(ALONE)))
    return str(moment)


@pytest.mark.parametrize("kind", REASONS)
def test_an_old_image_is_pulled_and_a_push_is_told_what_is_wrong(
    registry: Registry, alice: Pusher, fault: Fault, kind: str
) -> None:
    paths = ["manifests/v1", f"manifests/{digest_of(IMAGE.payload)}", f"blobs/{digest_of(IMAGE.layer)}", ASKED]

    with fault(registry):
        heads = [alice.send("HEAD", path).status for path in paths]
        is_pulled = alice.pull(IMAGE)
        refused = alice.send("POST", "blobs/uploads/")

    assert heads == [200] * len(paths)
    assert is_pulled
    status, reason = (403, b"kept free by the database's ballast") if kind == "full" else (503, REASONS[kind])
    assert refused.status == status
    assert reason in refused.body
    # What passes by itself is tried again.
    assert (int(refused.headers.get("retry-after", 0)) > 0) == (status == 503)


@pytest.mark.parametrize("kind", ["locked", "full", "read-only server"])
def test_what_was_promised_meanwhile_is_not_collected_once_it_can_be(
    registry: Registry, alice: Pusher, fault: Fault, kind: str
) -> None:
    old = last_used_at(registry)

    with fault(registry):
        is_pulled, found = alice.pull(IMAGE), alice.send("HEAD", ASKED).status
        stop_worker(registry)
    # The very moment: the collector can write, and the worker that has promised could not yet.
    registry.manage("gc")
    kept = last_used_at(registry)
    registry.let_worker_go_on()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while last_used_at(registry) == old:
        assert time.monotonic() < deadline, "the promise was never written"
        time.sleep(0.05)
    registry.pass_time()
    collected = registry.manage("gc")

    assert is_pulled
    assert (found, kept) == (200, old)
    assert (collected.returncode, alice.send("HEAD", ASKED).status) == (0, 404)
    alice.push(NEW)
    assert registry.manage("fsck", "--deep").stdout == "no problems\n"


COMMANDS = (
    "gc",
    "loadconfig new.yaml",
    f"deleterepository {SHARED} --yes",
    "createsuperuser --noinput --name new",
    "rotatekey",
)
_CAUSE = re.compile(r"can't be (written|opened)|No space left on device|Read-only file system")


def new_configuration(registry: Registry, path: Path) -> Path:
    """Write to `path` the configuration with a rule that the database has not."""
    rule = {"anonymous": True, "name": "new/*", "actions": ["pull"]}
    path.write_text(yaml.safe_dump(registry.configuration() | {"acl": [rule]}))
    return path


@pytest.mark.parametrize("kind", REASONS)
def test_a_command_says_in_one_line_what_is_wrong(
    registry: Registry, fault: Fault, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    new_configuration(registry, tmp_path / "new.yaml")
    # Keys are files, which PostgreSQL has no part in.
    commands = COMMANDS[:-1] if kind == "read-only server" else COMMANDS

    with fault(registry):
        ended = {words: registry.manage(*words.split()) for words in commands}

    assert {words: (end.returncode, end.stderr.count("\n")) for words, end in ended.items()} == dict.fromkeys(
        commands, (1, 1)
    ), ended
    assert [end for end in ended.values() if not _CAUSE.search(end.stderr)] == []
    assert [end for end in ended.values() if "UNAVAILABLE" in end.stderr] == []


@pytest.mark.parametrize("kind", REASONS)
def test_jobs_log_a_known_fault_once_without_a_traceback(registry: Registry, fault: Fault, kind: str) -> None:
    with fault(registry):
        ended = registry.manage("runjobs", "--once")

    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert REASONS[kind].decode() in line
    assert "Traceback" not in line


@pytest.mark.parametrize("kind", REASONS)
def test_a_reload_says_what_is_wrong_with_the_database(registry: Registry, fault: Fault, kind: str) -> None:
    new_configuration(registry, registry.folder / "config.yaml")
    before = len(registry.log_file.read_text())

    with fault(registry):
        assert registry.process
        registry.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "not reloaded" not in (said := registry.log_file.read_text()[before:]):
            assert time.monotonic() < deadline, said
            time.sleep(0.05)

    (line,) = [line for line in said.splitlines() if "not reloaded" in line]
    assert _CAUSE.search(line)
    assert "Error" not in line


@pytest.mark.parametrize("kind", REASONS)
def test_a_backup_is_made_although_the_database_cannot_be_written(
    registry: Registry, fault: Fault, kind: str, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"

    with fault(registry):
        ended = registry.manage("backup", str(backup))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "complete in" in ended.stdout
    assert {str(path.relative_to(backup)) for path in backup.glob("objects/*/*")} == registry.objects()
