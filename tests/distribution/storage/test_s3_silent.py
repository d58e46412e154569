"""S3 that gives no answer: requests fail at once, and what needs no object goes on."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path

import pytest
from botocore.awsrequest import AWSResponse

from distribution.storage import circuit_breaker, s3
from distribution.storage.circuit_breaker import FAILURES, CircuitBreaker, NotSentError
from distribution.storage.cloud import CloudError
from distribution.storage.s3 import RegistryS3Storage
from tests.clients.server import kill_group, started
from tests.s3.registry import NAME, S3Registry, digest_of
from tests.s3.servers import S3Server, client_of
from tests.s3.silent import SilentLine, silent_line

LAYER = b"a layer that nobody can store"
LATER = circuit_breaker.OPEN_SECONDS + 0.1


class Clock:
    """Time that passes when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(3, clock)


def fail(breaker: CircuitBreaker, times: int) -> None:
    """Let requests get no answer, one after the other."""
    for _ in range(times):
        breaker.admit()
        breaker.settle(is_answered=False)


def test_failures_in_a_row_open_the_circuit(breaker: CircuitBreaker) -> None:
    fail(breaker, FAILURES)

    with pytest.raises(NotSentError, match="tried again"):
        breaker.admit()


def test_an_answer_between_failures_keeps_it_closed(breaker: CircuitBreaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.admit()
    breaker.settle(is_answered=True)
    fail(breaker, FAILURES - 1)

    breaker.admit()


def test_one_request_tries_again_and_others_do_not(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += LATER

    breaker.admit()

    with pytest.raises(NotSentError):
        breaker.admit()


def test_a_try_without_an_answer_opens_it_again(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += LATER
    fail(breaker, 1)

    with pytest.raises(NotSentError):
        breaker.admit()
    clock.now += LATER
    breaker.admit()


def test_a_try_with_an_answer_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += LATER
    breaker.admit()
    breaker.settle(is_answered=True)

    fail(breaker, FAILURES - 1)
    breaker.admit()


def test_a_try_that_never_ends_does_not_leave_it_open(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += LATER
    breaker.admit()
    clock.now += circuit_breaker.TRY_SECONDS + 1

    breaker.admit()


def test_more_requests_than_may_wait_are_not_sent(breaker: CircuitBreaker) -> None:
    let_go, there = threading.Event(), threading.Barrier(4)

    def wait() -> None:
        breaker.admit()
        there.wait()
        let_go.wait()
        breaker.settle(is_answered=True)

    with ThreadPoolExecutor(3) as waiting:
        for _ in range(3):
            waiting.submit(wait)
        there.wait()
        with pytest.raises(NotSentError, match="3 requests wait"):
            breaker.admit()
        let_go.set()
    breaker.admit()


def test_an_answer_that_can_not_be_parsed_ends_its_request(clock: Clock) -> None:
    breaker, client = CircuitBreaker(1, clock), client_of("http://127.0.0.1:1")
    breaker.watch(client)
    answer = AWSResponse("", 200, {"content-length": "many"}, None)
    answer._content = b""
    client.meta.events.register("before-send.s3", lambda **_event: answer)

    with pytest.raises(ValueError, match="many"):
        client.head_object(Bucket="any", Key="any")

    breaker.admit()


@pytest.fixture
def line(seaweedfs: S3Server) -> Iterator[SilentLine]:
    """Run a line to SeaweedFS that may fall silent."""
    with silent_line(seaweedfs.endpoint) as line:
        yield line


@pytest.fixture
def storage(seaweedfs: S3Server, line: SilentLine, monkeypatch: pytest.MonkeyPatch) -> RegistryS3Storage:
    """Return a storage behind the line, whose patience is short."""
    monkeypatch.setattr(s3, "READ_SECONDS", 0.2)
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 0.3)
    options = seaweedfs.options(seaweedfs.make_bucket("silent")) | {"endpoint_url": line.endpoint}
    return RegistryS3Storage(**options)


def test_a_socket_that_never_answers_opens_the_circuit_and_one_that_does_closes_it(
    storage: RegistryS3Storage, line: SilentLine
) -> None:
    storage.save("objects/00/before", io.BytesIO(b"before"))
    line.is_silent = True
    for _ in range(2):
        with pytest.raises(CloudError, match="no answer"):
            storage.size("objects/00/before")
    asked = line.connections

    with pytest.raises(CloudError, match="is not asked: it gave no answer") as refused:
        storage.size("objects/00/before")
    assert (refused.value.state, line.connections) == ("no answer", asked)
    line.is_silent = False
    assert until(lambda: storage.size("objects/00/before")) == 6
    storage.save("objects/00/after", io.BytesIO(b"after"))


def until(does: Callable[[], int]) -> int:
    """Return the result once there is no CloudError."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return does()
        except CloudError:
            assert time.monotonic() < deadline, "the circuit stays open"
            time.sleep(0.05)


class SmallRegistry(S3Registry):
    """A registry of one process, which has few places for threads that wait."""

    def configuration(self) -> dict[str, object]:
        server = {"addr": self.host, "data_directory": str(self.data)}
        return super().configuration() | {"server": server | {"workers": 1, "threads": 4, "max_slow_clients": 8}}


def test_a_crowd_that_waits_for_a_silent_s3_leaves_threads_for_manifests(
    seaweedfs: S3Server, line: SilentLine, tmp_path: Path
) -> None:
    s3_of_line = {"endpoint_url": line.endpoint}
    registry = SmallRegistry(tmp_path, seaweedfs, seaweedfs.make_bucket("crowd"), options=s3_of_line)
    with started(registry), ThreadPoolExecutor(30) as crowd:
        assert registry.push_whole(b"{}").status == 201
        manifest = registry.put_manifest("v1", b"{}")
        line.is_silent = True
        path, headers = f"/v2/{NAME}/blobs/uploads/?digest={digest_of(LAYER)}", registry.alice()
        pushes = [crowd.submit(registry.request, "POST", path, body=LAYER, more=headers) for _ in range(30)]
        refused = list(islice(as_completed(pushes), 20))

        served = registry.request("GET", f"/v2/{NAME}/manifests/v1", more=headers)
        asleep = sum(not push.done() for push in pushes)
        # Not their patience of 30 seconds.
        assert registry.process is not None
        kill_group(registry.process.pid)

    assert (served.status, served.body) == (200, manifest)
    assert asleep > 0
    assert {(push.result().status, push.result().headers["retry-after"]) for push in refused} == {(503, "2")}
    assert "requests wait for it already" in registry.log_file.read_text()
