"""A registry process with its blobs in S3: pushes in all patterns of chunks, pulls, faults, memory."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests import preloaded
from tests.clients.server import ROOT, Answer, started
from tests.s3.refusing import refusing
from tests.s3.registry import NAME, S3Registry, digest_of, pieces_of
from tests.s3.servers import READER_KEY, READER_SECRET, S3Server, SeaweedFS, running

MIB = 1024 * 1024
PATTERNS: dict[str, list[int]] = {
    "3+3": [3 * MIB] * 2,
    "3+20": [3 * MIB, 20 * MIB],
    "20+3": [20 * MIB, 3 * MIB],
    "4x5": [5 * MIB] * 4,
    "9+9": [9 * MIB] * 2,
    "3x10": [10 * MIB] * 3,
    "3x40": [40 * MIB] * 3,
    "one": [7],
    "bytes": [1] * 20,
    "small and large": [1, 6 * MIB, 2 * MIB, 1, 9 * MIB, 4 * MIB],
    "8+8": [8 * MIB] * 2,
    "5-1+5+1": [5 * MIB - 1, 5 * MIB, 1],
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, seaweedfs: S3Server) -> Iterator[S3Registry]:
    """Run a registry for the tests that leave it as it is."""
    registry = S3Registry(tmp_path_factory.mktemp("registry"), seaweedfs, seaweedfs.make_bucket("registry"))
    with started(registry):
        yield registry


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_blob_is_pushed_in_chunks_and_pulled(registry: S3Registry, pattern: str) -> None:
    sizes = PATTERNS[pattern]
    content = os.urandom(sum(sizes))

    answer = registry.push(pieces_of(content, sizes), digest_of(content))

    assert (answer.status, answer.headers.get("docker-content-digest")) == (201, digest_of(content))
    assert registry.pull(digest_of(content)) == digest_of(content)
    assert registry.s3.unfinished(registry.bucket) == []


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 64 * MIB])
def test_a_blob_is_pushed_in_one_request_and_pulled(registry: S3Registry, size: int) -> None:
    content = os.urandom(size)

    assert registry.push_whole(content).status == 201
    assert registry.pull(digest_of(content)) == digest_of(content)


@pytest.fixture
def image(registry: S3Registry) -> str:
    """Return the digest of a blob that the registry has."""
    content = b"a blob " * 1000
    assert registry.push_whole(content).status == 201
    return digest_of(content)


def test_a_pull_is_redirected_to_s3_for_a_while(registry: S3Registry, image: str) -> None:
    answer = registry.get(image)

    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["location"].startswith(f"{registry.s3.endpoint}/{registry.bucket}/objects/")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["docker-content-digest"] == image


def test_a_head_is_never_redirected(registry: S3Registry, image: str) -> None:
    answer = registry.request("HEAD", f"/v2/{NAME}/blobs/{image}", more=registry.alice())

    assert (answer.status, answer.headers["content-length"]) == (200, "7000")


def test_a_blob_that_is_lost_is_503_then_404_once_the_last_look_is_old(registry: S3Registry) -> None:
    content = b"a blob that gets lost"
    assert registry.push_whole(content).status == 201
    key = registry.rows(f"SELECT key FROM distribution_blob WHERE digest = '{digest_of(content)}'")[0][0]
    registry.s3.client.delete_object(Bucket=registry.bucket, Key=key)

    # No worker has looked for it yet.
    answers = [registry.get(digest_of(content)).status for _ in range(2)]

    assert answers == [503, 404]


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory, seaweedfs: S3Server) -> Iterator[S3Registry]:
    """Run a registry that redirects nobody."""
    folder = tmp_path_factory.mktemp("streaming")
    registry = S3Registry(folder, seaweedfs, seaweedfs.make_bucket("streaming"), redirect=False)
    with started(registry):
        yield registry


def test_without_redirects_blobs_are_streamed_with_ranges(streaming: S3Registry) -> None:
    content = os.urandom(9 * MIB)
    assert streaming.push_whole(content).status == 201

    whole = streaming.get(digest_of(content))
    part = streaming.get(digest_of(content), Range="bytes=1000-4000000")
    end = streaming.get(digest_of(content), Range="bytes=-5")

    assert (whole.status, whole.body == content) == (200, True)
    assert (part.status, part.body == content[1000:4000001]) == (206, True)
    assert (end.status, end.body) == (206, content[-5:])


def memory_of(registry: S3Registry) -> int:
    """Return the bytes of memory that the processes of the registry have to themselves, and their share of the rest."""
    assert registry.process is not None
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in (registry.process.pid, *registry.workers())]
    return sum(int(size) for text in texts for size in re.findall(r"(?m)^Pss: +(\d+)", text)) * 1024


def test_a_large_push_and_pull_take_little_memory(streaming: S3Registry) -> None:
    idle, piece, most = memory_of(streaming), os.urandom(MIB), [0]
    count, running = 160, hashlib.sha256()
    for _ in range(count):
        running.update(piece)
    digest = f"sha256:{running.hexdigest()}"

    def pieces() -> Iterator[bytes]:
        for number in range(count):
            yield piece
            if number % 8 == 0:
                most[0] = max(most[0], memory_of(streaming))

    answer = streaming.push_stream(pieces(), count * MIB, digest)
    pulled = streaming.pull(digest)

    assert answer.status == 201
    assert pulled == digest
    assert max(most[0], memory_of(streaming)) - idle < 64 * MIB


def test_fsck_reads_every_blob_and_finds_nothing(registry: S3Registry, image: str) -> None:
    done = fsck(registry, "--deep")
    lost = registry.rows("SELECT digest FROM distribution_blob WHERE is_corrupt")

    # Only that which another test has deleted.
    assert len(lost) <= 1
    assert done.stdout == "no problems\n" or all(lost[0][0] in line for line in done.stdout.splitlines()[:-1])


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """Run a SeaweedFS that a test may kill."""
    folder = tmp_path / "s3"
    folder.mkdir()
    with running(SeaweedFS(folder)) as server:
        yield server


def test_s3_that_is_killed_during_a_push_is_503_and_manifests_are_served(own_s3: S3Server, tmp_path: Path) -> None:
    registry = S3Registry(tmp_path, own_s3, own_s3.make_bucket("killed"))
    try:
        registry.start()
        config, content = b"{}", os.urandom(20 * MIB)
        assert registry.push_whole(config).status == 201
        assert registry.push_whole(b"a layer").status == 201
        manifest = registry.put_manifest("v1", config, b"a layer")

        def dying() -> Iterator[bytes]:
            for number in range(20):
                if number == 12:
                    own_s3.kill()
                yield content[number * MIB : (number + 1) * MIB]

        failed = registry.push_stream(dying(), len(content), digest_of(content))
        refused = registry.push([b"another"], digest_of(b"another"))
        served = registry.request("GET", f"/v2/{NAME}/manifests/v1", more=registry.alice())
        health = unhealthy(registry)
        own_s3.start()
        # A refusal comes before the end of the body.
        again = patiently(lambda: registry.push_stream([content], len(content), digest_of(content)))
        found = patiently(lambda: registry.get(digest_of(content)))

        for answer in (failed, refused):
            assert (answer.status, error_codes(answer)) == (503, ["UNAVAILABLE"])
            assert answer.headers["retry-after"]
        assert (served.status, served.body) == (200, manifest)
        assert health.status == 503
        # Without a reason while the client of S3 still tries.
        assert json.loads(health.body)["storage"] in ("unavailable: no answer", "unavailable")
        assert (again.status, found.status) == (201, 307)
        with urlopen(found.headers["location"], timeout=60) as pulled:
            assert pulled.read() == content
        assert "no answer from" in registry.log_file.read_text()
        assert "registry-secret" not in registry.log_file.read_text()
    finally:
        registry.stop()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bucket_name": "nobody-made-it"}, ("there is no bucket nobody-made-it", "storage.s3.bucket_name")),
        ({"access_key": "unknown"}, ("storage.s3.access_key",)),
        ({"secret_key": "wrong"}, ("storage.s3.secret_key",)),
        ({"access_key": READER_KEY, "secret_key": READER_SECRET}, ("403", "docs/storage.md")),
    ],
)
def test_a_start_without_a_usable_bucket_explains_itself(
    seaweedfs: S3Server, tmp_path: Path, options: dict[str, str], words: tuple[str, ...]
) -> None:
    registry = S3Registry(tmp_path, seaweedfs, "registry", options=options)
    try:
        with pytest.raises(AssertionError):
            registry.start()
    finally:
        registry.stop()

    log = registry.log_file.read_text()
    assert [word for word in ("storage: ", *words) if word not in log] == []
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "RequestTimeTooSkewed", "the clock of this machine"),
        (400, "AuthorizationHeaderMalformed", "storage.s3.region_name"),
        (503, "SlowDown", "S3 answers that it is busy"),
    ],
)
def test_a_start_that_s3_refuses_explains_itself(
    seaweedfs: S3Server, tmp_path: Path, status: int, code: str, words: str
) -> None:
    with refusing(status, code) as endpoint:
        registry = S3Registry(tmp_path, seaweedfs, "registry", options={"endpoint_url": endpoint})
        try:
            with pytest.raises(AssertionError):
                registry.start()
        finally:
            registry.stop()

    log = registry.log_file.read_text()
    assert words in log
    assert "Traceback" not in log


@pytest.mark.parametrize("mistake", ["bucket_name", "location"])
def test_another_bucket_than_that_of_the_blobs_is_refused(seaweedfs: S3Server, tmp_path: Path, mistake: str) -> None:
    name = mistake.replace("_", "-")
    registry = S3Registry(tmp_path, seaweedfs, seaweedfs.make_bucket(f"right-{name}"))
    right, content = registry.options, b"a blob that is still there"
    wrong = seaweedfs.make_bucket(f"wrong-{name}") if mistake == "bucket_name" else "elsewhere"
    try:
        registry.start()
        empty = fsck(registry)
        assert registry.push_whole(content).status == 201
        registry.end()
        registry.options = right | {mistake: wrong}
        with pytest.raises(AssertionError, match="but the database names blobs: are bucket_name, location"):
            registry.start()
        refused = fsck(registry, "--repair")
        registry.options = right
        registry.start()

        assert registry.pull(digest_of(content)) == digest_of(content)
    finally:
        registry.stop()

    assert (empty.returncode, empty.stdout) == (0, "no problems\n")
    assert (refused.returncode, "S3 has no objects" in refused.stderr) == (1, True)


def fsck(registry: S3Registry, *options: str) -> subprocess.CompletedProcess[str]:
    """Check the registry with its present configuration."""
    command = [sys.executable, str(ROOT / "manage.py"), "fsck", *options]
    return preloaded.run(command, env=registry.environment(), timeout=120)


def test_a_full_bucket_is_a_warning_and_pushes_are_503(seaweedfs: S3Server, tmp_path: Path) -> None:
    with refusing(507, "XMinioStorageFull", reads=True) as endpoint:
        registry = S3Registry(tmp_path, seaweedfs, "registry", options={"endpoint_url": endpoint})
        try:
            registry.start()
            health = json.loads(registry.request("GET", "/health").body)
            pushed = registry.push_whole(b"a layer")
        finally:
            registry.stop()

    assert "warning: storage: S3 has no space left" in registry.log_file.read_text()
    assert (health["status"], health["storage"]) == ("degraded", "not writable: full")
    assert (pushed.status, error_codes(pushed)) == (503, ["UNAVAILABLE"])


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again after a 503: each worker tries S3 again by itself."""
    deadline = time.monotonic() + 30
    while (answer := ask()).status == 503 and time.monotonic() < deadline:
        time.sleep(int(answer.headers["retry-after"]))
    return answer


def unhealthy(registry: S3Registry) -> Answer:
    """Return what /health says once it notices: for some seconds it repeats its last answer."""
    deadline = time.monotonic() + 60
    while (answer := registry.request("GET", "/health")).status == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def error_codes(answer: Answer) -> list[str]:
    """Return the codes of a refusal."""
    return [error["code"] for error in json.loads(answer.body)["errors"]]
