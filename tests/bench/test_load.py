"""The generator repeats operations, counts every failure, and stops when it has to."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest

from bench.load import ERRORS_MAX, Load, Run
from bench.request import Operation, Request

GET = Request(b"GET / HTTP/1.1\r\n\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = Random(0).randbytes(3_000_000)

# What is answered, and whether the connection is kept then.
Answer = Callable[[int], tuple[bytes, bool]]
GONE = (b"", False)


def always(said: bytes, is_kept: bool = True) -> Answer:
    """Return what answers every request with the same."""
    return lambda _number: (said, is_kept)


def first(count: int) -> Answer:
    """Return what answers the first requests of a connection as they should be, and closes it at the next."""
    return lambda number: (OK, True) if number < count else GONE


@contextmanager
def served(answer: Answer) -> Iterator[tuple[str, int]]:
    """Answer the n-th request of each connection with `answer(n)`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener, answer))
        accepting.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def accept(listener: socket.socket, answer: Answer) -> None:
    """Serve each connection in a thread of its own until the listener is closed."""
    serving = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        serving.append(threading.Thread(target=serve, args=(connection, answer)))
        serving[-1].start()
    for thread in serving:
        thread.join()


def serve(connection: socket.socket, answer: Answer) -> None:
    """Answer requests without body until the other side, or `answer`, has enough."""
    with connection, connection.makefile("rb") as stream, suppress(ConnectionError):
        number, is_kept = 0, True
        while is_kept and (line := stream.readline()):
            if line == b"\r\n":
                said, is_kept = answer(number)
                connection.sendall(said)
                number += 1


def run(address: tuple[str, int], request: Request, most: int, **more: bool | float) -> Load:
    """Run `most` operations of one request each."""
    left = iter(range(most))

    def begin() -> Operation | None:
        return operation(request) if next(left, None) is not None else None

    return Run(address, begin, **{"connections": 2, "seconds": 60, **more})()  # type: ignore[arg-type]


def operation(request: Request) -> Operation:
    """Send one request."""
    yield request


def test_every_operation_that_succeeds_has_a_latency() -> None:
    with served(always(OK)) as address:
        load = run(address, GET, 50)

    assert (len(load.latencies), load.errors.total()) == (50, 0)
    assert min(load.latencies) > 0


def test_an_operation_is_given_each_answer() -> None:
    seen = []

    def both() -> Operation:
        for _ in range(2):
            response = yield GET
            seen.append(response.status)

    with served(always(OK)) as address:
        todo = iter([both()])
        load = Run(address, lambda: next(todo, None), connections=1, seconds=60)()

    assert seen == [200, 200]
    assert len(load.latencies) == 1


@pytest.mark.parametrize("is_proof", [True, False])
def test_a_long_body_is_taken_whole(is_proof: bool) -> None:
    request = Request(GET.wire, length=len(LONG), check=lambda response: response.body == LONG)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LONG), LONG)
    with served(always(answer)) as address:
        load = run(address, request, 3, is_proof=is_proof)

    assert (len(load.latencies), load.errors.total()) == (3, 0)


def test_a_long_body_is_sent_whole() -> None:
    received = []

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                received.append(stream.read(len(GET.wire) + 2 * len(LONG)))
                connection.sendall(OK)

        taking = threading.Thread(target=take)
        taking.start()
        load = run(listener.getsockname(), Request(GET.wire, (memoryview(LONG), memoryview(LONG))), 1, connections=1)
        taking.join()

    assert received == [GET.wire + LONG + LONG]
    assert load.errors.total() == 0


@pytest.mark.parametrize(
    ("answer", "wanted", "message"),
    [
        ((b"HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy", True), GET, "GET /: expected 200, got 503 busy"),
        ((OK, True), Request(GET.wire, length=3), "GET /: expected 3 bytes, got 2"),
        ((OK[:-1], False), GET, "the server closed the connection in the middle of an answer"),
        (GONE, GET, "the server closed the connection before an answer"),
        ((b"nonsense\r\n\r\n", True), GET, "not a status line of HTTP/1.1: b'nonsense'"),
    ],
)
def test_an_answer_that_is_not_the_expected_one_is_counted(
    answer: tuple[bytes, bool], wanted: Request, message: str
) -> None:
    with served(always(*answer)) as address:
        load = run(address, wanted, 1)

    assert dict(load.errors) == {message: 1}
    assert load.latencies == []


def test_a_proof_looks_at_the_body() -> None:
    request = Request(GET.wire, check=lambda response: response.body == b"no")
    with served(always(OK)) as address:
        proof, measured = run(address, request, 1, is_proof=True), run(address, request, 1)

    assert list(proof.errors) == ["GET /: the answer is another one than expected: ok"]
    assert measured.errors.total() == 0


def test_an_operation_after_a_failed_one_has_a_new_connection() -> None:
    with served(first(3)) as address:
        load = run(address, GET, 8, connections=1)

    assert (len(load.latencies), load.errors.total()) == (6, 2)


def test_a_broken_operation_leaves_no_connection_open() -> None:
    def broken() -> Operation:
        yield GET
        raise LookupError("broken")

    with served(always(OK)) as address, pytest.raises(LookupError, match="broken"):
        Run(address, broken, connections=3, seconds=60)()


def test_a_server_that_always_fails_ends_the_run() -> None:
    with served(first(0)) as address:
        load = run(address, GET, 1000, connections=1)

    assert load.errors.total() == ERRORS_MAX


def test_a_connection_that_the_server_closes_after_an_answer_is_opened_again_and_counted() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with served(always(closing, is_kept=False)) as address:
        load = run(address, GET, 5, connections=1)

    assert (len(load.latencies), load.errors.total(), load.reconnects) == (5, 0, 5)


def test_an_answer_that_never_comes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.load.PATIENCE_SECONDS", 0)
    with served(always(b"")) as address:
        load = run(address, GET, 10, seconds=0.05)

    assert dict(load.errors) == {"no answer within 0 s after the end of the run": 2}


def test_no_operation_begins_when_the_time_is_over() -> None:
    with served(always(OK)) as address:
        load = run(address, GET, 10, seconds=0)

    assert load.latencies == []


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::"])
def test_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        Run((host, 80), lambda: None, connections=1, seconds=1)
