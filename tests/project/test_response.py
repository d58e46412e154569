"""Responses on a socket: the number of sends, their bytes, and incomplete ones."""

import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.wsgi import FileWrapper, Response

from server.connection import frozen
from server.pool import CrowdedError, Pool
from server.response import SMALL_BYTES, RegistryResponse, SendRate, UnreadableFileError, _checked_line
from tests.project.wire import PEER, CountingPool

PATIENCE_SECONDS = 60
LARGE = os.urandom(4 * 1024 * 1024)
_SETTINGS = frozen(Config())


class Sink:
    """A socket that takes at most `room` bytes at once, and remembers each send."""

    def __init__(self, room: int = 1 << 20) -> None:
        self.sends: list[bytes] = []
        self._room = room

    def send(self, data: bytes, flags: int = 0) -> int:
        assert flags & socket.MSG_DONTWAIT
        if not self._room:
            raise BlockingIOError
        self.sends.append(bytes(data[: self._room]))
        return len(self.sends[-1])

    def sendall(self, data: bytes, flags: int = 0) -> None:
        self.sends.append(bytes(data))

    def getsockopt(self, *_option: int) -> bytes:
        raise OSError("this one counts nothing")


def response(
    sock: Any, headers: dict[str, str], status: str = "200 OK", *, method: str = "GET", pool: Pool[Any] | None = None
) -> Any:
    """Return a response to a request of HTTP/1.1 whose application has called `start_response`."""
    request = SimpleNamespace(method=method, version=(1, 1), should_close=lambda: False)
    made: Any = RegistryResponse(request, sock, _SETTINGS, pool or Pool(1, 10, lambda _: False), SendRate(sock, PEER))
    made.start_response(status, list(headers.items()))
    return made


def answer(made: Any, body: Iterable[bytes]) -> None:
    """Send a body as the worker does."""
    for piece in body:
        made.write(piece)
    made.close()


def parts(data: bytes) -> tuple[list[str], bytes]:
    """Return the lines of the head and what comes behind it."""
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


@contextmanager
def reading() -> Iterator[tuple[socket.socket, list[bytes]]]:
    """Return a socket, and what the other side had read of it when the block is over."""
    near, far = socket.socketpair()
    came: list[bytes] = []

    def read() -> None:
        while piece := far.recv(1 << 16):
            came.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield near, came
    finally:
        near.close()
        reader.join(PATIENCE_SECONDS)
        far.close()


def file_answer(path: Path, headers: dict[str, str], *, method: str = "GET", offset: int = 0) -> bytes:
    """Return everything that is sent of a file from `offset` on."""
    with path.open("rb") as file, reading() as (sock, came):
        file.seek(offset)
        made = response(sock, headers, method=method)
        made.write_file(FileWrapper(file))
        made.close()
    return b"".join(came)


def test_head_and_body_are_one_send() -> None:
    sink = Sink()

    answer(response(sink, {"Content-Length": "5"}), [b"hello"])

    assert len(sink.sends) == 1
    lines, body = parts(sink.sends[0])
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {"Connection: keep-alive", "Content-Length: 5"} <= set(lines)
    assert body == b"hello"


def test_the_head_waits_for_the_first_bytes() -> None:
    sink = Sink()
    made = response(sink, {"Content-Length": "5"})

    made.send_headers()

    assert sink.sends == []
    assert not made.has_begun


@pytest.mark.parametrize(
    ("method", "status", "headers", "length"),
    [
        ("HEAD", "200 OK", {"Content-Length": "5"}, "Content-Length: 5"),
        ("HEAD", "200 OK", {}, None),
        ("GET", "204 No Content", {}, None),
        ("DELETE", "204 No Content", {"Content-Length": "5"}, None),
        ("GET", "304 Not Modified", {"Content-Length": "5"}, "Content-Length: 5"),
    ],
)
def test_a_response_without_a_body_is_its_head_alone(
    method: str, status: str, headers: dict[str, str], length: str | None
) -> None:
    sink = Sink()

    answer(response(sink, headers, status, method=method), [b""])

    lines, body = parts(b"".join(sink.sends))
    assert len(sink.sends) == 1
    assert body == b""
    assert [line for line in lines if line.startswith(("Content-Length", "Transfer-Encoding"))] == [length] * bool(
        length
    )


def test_a_body_that_is_streamed_goes_out_in_chunks() -> None:
    sink = Sink()

    answer(response(sink, {}), [b"hello", b"", b"a whole page"])

    lines, _ = parts(sink.sends[0])
    assert "Transfer-Encoding: chunked" in lines
    assert [sink.sends[0].partition(b"\r\n\r\n")[2], *sink.sends[1:]] == [
        b"5\r\nhello\r\n",
        b"C\r\na whole page\r\n",
        b"0\r\n\r\n",
    ]


def test_an_empty_body_that_is_streamed_is_the_last_chunk() -> None:
    sink = Sink()

    answer(response(sink, {}), [])

    assert parts(b"".join(sink.sends))[1] == b"0\r\n\r\n"


def test_no_more_than_content_length_is_sent() -> None:
    sink = Sink()

    answer(response(sink, {"Content-Length": "5"}), [b"hello world"])

    assert parts(b"".join(sink.sends))[1] == b"hello"


def test_a_body_shorter_than_content_length_raises() -> None:
    with pytest.raises(OSError, match="4 bytes instead of 5"):
        answer(response(Sink(), {"Content-Length": "5"}), [b"hell"])


def test_bytes_beyond_the_send_buffer_release_the_slot() -> None:
    sink, pool = Sink(room=100), CountingPool()

    answer(response(sink, {"Content-Length": "1000"}, pool=pool), [b"x" * 1000])

    assert parts(b"".join(sink.sends))[1] == b"x" * 1000
    assert pool.times == 1


def test_bytes_within_the_send_buffer_keep_the_slot() -> None:
    pool = CountingPool()

    answer(response(Sink(), {"Content-Length": "1000"}, pool=pool), [b"x" * 1000])

    assert pool.times == 0


@pytest.mark.parametrize("room", [0, 10])
def test_a_send_that_waits_beyond_the_limit_is_refused(room: int) -> None:
    made = response(Sink(room), {"Content-Length": "1000"}, pool=Pool(1, 0, lambda _: False))

    with pytest.raises(CrowdedError):
        answer(made, [b"x" * 1000])

    assert made.has_begun


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, len(LARGE)])
def test_a_file_is_sent_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(LARGE[:size])

    lines, body = parts(file_answer(tmp_path / "file", {"Content-Length": str(size)}))

    assert f"Content-Length: {size}" in lines
    assert body == LARGE[:size]


@pytest.mark.parametrize("size", [1, SMALL_BYTES, SMALL_BYTES + 1])
def test_a_range_of_a_file_is_sent_from_its_position(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(LARGE)

    _, body = parts(file_answer(tmp_path / "file", {"Content-Length": str(size)}, offset=1000))

    assert body == LARGE[1000 : 1000 + size]


def test_a_file_without_a_length_is_sent_in_chunks_behind_its_head(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")

    lines, body = parts(file_answer(tmp_path / "file", {}))

    assert "Transfer-Encoding: chunked" in lines
    assert body == b"5\r\nhello\r\n0\r\n\r\n"


def test_the_head_of_a_file_is_sent_without_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")

    lines, body = parts(file_answer(tmp_path / "file", {"Content-Length": "5"}, method="HEAD"))

    assert "Content-Length: 5" in lines
    assert body == b""


@pytest.mark.parametrize(("size", "error"), [(1000, UnreadableFileError), (SMALL_BYTES + 1, OSError)])
def test_a_file_shorter_than_content_length_raises(tmp_path: Path, size: int, error: type[Exception]) -> None:
    """Of a small one no byte of the head was sent, so that another response is possible."""
    (tmp_path / "file").write_bytes(LARGE[: size - 1])

    with pytest.raises(error, match="the file"):
        file_answer(tmp_path / "file", {"Content-Length": str(size)})


def test_a_large_file_beyond_the_limit_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    sink = Sink()
    sink.fileno = lambda: -1  # type: ignore[attr-defined]
    made = response(sink, {"Content-Length": str(len(LARGE))}, pool=Pool(1, 0, lambda _: False))

    with (tmp_path / "file").open("rb") as file, pytest.raises(CrowdedError):
        made.write_file(FileWrapper(file))

    assert not made.has_begun
    assert sink.sends == []


class Cloud:
    """An object in a cloud: it can be read, and has no descriptor."""

    def __init__(self, data: bytes) -> None:
        self._pieces = [data[:3], data[3:]]

    def read(self, _size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def seek(self, _offset: int) -> None:
        raise AssertionError("it is read once, from its beginning")


def test_an_object_without_a_descriptor_is_sent_as_it_is_read() -> None:
    sink = Sink()
    made = response(sink, {"Content-Length": "5"})

    made.write_file(FileWrapper(Cloud(b"hello")))
    made.close()

    assert parts(b"".join(sink.sends))[1] == b"hello"


def test_a_large_object_without_a_descriptor_is_sent_in_one_place() -> None:
    pool = Pool[Any](1, 1, lambda _: False)
    places: list[None] = []
    release = pool.release_slot
    pool.release_slot = lambda *taken: places.append(release(*taken))  # type: ignore[method-assign]
    with reading() as (sock, came):
        made = response(sock, {"Content-Length": str(len(LARGE))}, pool=pool)
        made.write_file(FileWrapper(Cloud(LARGE + b"more")))
        made.close()

    assert parts(b"".join(came))[1] == LARGE
    assert len(places) == 1


def test_a_large_object_without_a_descriptor_is_not_begun_beyond_the_limit() -> None:
    sink = Sink()
    made = response(sink, {"Content-Length": str(len(LARGE))}, pool=Pool(1, 0, lambda _: False))

    with pytest.raises(CrowdedError):
        made.write_file(FileWrapper(Cloud(LARGE)))

    assert not made.has_begun
    assert sink.sends == []


def test_a_large_object_whose_first_bytes_can_not_be_read_is_not_begun() -> None:
    made = response(Sink(), {"Content-Length": str(len(LARGE))})
    lost = Cloud(b"")
    lost.read = lambda _size: 1 / 0  # type: ignore[method-assign,assignment,return-value]

    with pytest.raises(ZeroDivisionError):
        made.write_file(FileWrapper(lost))

    assert not made.has_begun


def test_a_too_short_object_without_a_descriptor_raises() -> None:
    made = response(Sink(), {"Content-Length": "6"})
    made.write_file(FileWrapper(Cloud(b"hello")))

    with pytest.raises(OSError, match="5 bytes instead of 6"):
        made.close()


NAMES = ("Location", "ETag", "Content-Length", "Connection", "Upgrade", "Transfer-Encoding", "Bad Name", "", "X-é")
VALUES = (
    "1",
    "/v2/a/blobs/sha256:0",
    '"tag"',
    "",
    " 1 ",
    "a b",
    "close",
    "websocket",
    "a\r\nb: c",
    "a\nb",
    "a\x00",
    "é",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_is_checked_as_gunicorn_does(name: str) -> None:
    for value in VALUES:
        checked: Any = SimpleNamespace(headers=[], response_length=None)
        try:
            Response.process_headers(checked, [(name, value)])
            expected = "".join(f"{given}: {text}\r\n" for given, text in checked.headers)
        except Exception as error:  # noqa: BLE001 - whichever gunicorn raises
            with pytest.raises(type(error)):
                _checked_line(name, value)
            continue
        assert _checked_line(name, value) == expected
