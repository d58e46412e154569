"""The chunk decoder on a socket: chunks of one size are received in place, others one at a time."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import pytest
from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData

from server.places import Client
from server.pool import Pool
from server.reader import Reader
from server.request_body import MAX_MISSES, ChunkDecoder

VIEW_BYTES = 512 * 1024


@contextmanager
def decoding(pieces: Sequence[bytes]) -> Iterator[ChunkDecoder]:
    """Yield a decoder of what a client sends in these pieces before it disconnects."""
    ours, theirs = socket.socketpair()
    pool: Pool[Any] = Pool(1, 4, lambda _connection: False)

    def send() -> None:
        with closing(theirs):
            for piece in pieces:
                theirs.sendall(piece)

    client = threading.Thread(target=send)
    client.start()
    with closing(ours):
        yield ChunkDecoder(Reader(ours, pool, Client(("127.0.0.1", 1), lambda _host: False)), lambda _section: None)
        client.join()


def read_to_end(decoder: ChunkDecoder, found: bytearray, view_bytes: int = VIEW_BYTES) -> None:
    view = memoryview(bytearray(view_bytes))
    while size := decoder.readinto(view):
        found += view[:size]


def chunked(body: bytes, sizes: Sequence[int]) -> bytes:
    wire, at = bytearray(), 0
    for size in sizes:
        wire += b"%x\r\n%b\r\n" % (size, body[at : at + size])
        at += size
    return bytes(wire) + b"0\r\n\r\n"


def split(wire: bytes, random: Random) -> list[bytes]:
    cuts = sorted(random.randrange(len(wire)) for _ in range(random.randrange(1, 40)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


@pytest.mark.parametrize("seed", range(40))
def test_a_body_is_decoded_whatever_its_chunks_and_pieces(seed: int) -> None:
    random = Random(seed)
    size = random.choice([4096, 5000, 32768, 70000])
    sizes = [size] * random.randrange(1, 60) + [random.randrange(1, size)]
    for _ in range(random.choice([0, 0, 1, 2 * MAX_MISSES])):
        sizes.insert(random.randrange(len(sizes)), random.choice([1, 17, 4097, 100_000]))
    body, found = random.randbytes(sum(sizes)), bytearray()

    with decoding(split(chunked(body, sizes) + b"GET / HTTP/1.1\r\n", random)) as decoder:
        read_to_end(decoder, found, random.choice([4096, 50_001, VIEW_BYTES]))

    assert found == body
    assert decoder.is_finished
    assert not decoder.has_failed


def test_bytes_behind_the_body_are_the_next_request() -> None:
    wire = chunked(bytes(40 * 32768), [32768] * 40) + b"GET / HTTP/1.1\r\n"

    with decoding([wire]) as decoder:
        read_to_end(decoder, bytearray())
        rest = decoder._reader.read(16)

    assert rest == b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("end", "error"), [(b"XX8000\r\n" + bytes(32768), ChunkMissingTerminator), (b"\r\n8000\r\n" + bytes(9), NoMoreData)]
)
def test_a_fault_is_raised_after_all_data_before_it(end: bytes, error: type[Exception]) -> None:
    wire = chunked(bytes(20 * 32768), [32768] * 20).removesuffix(b"\r\n0\r\n\r\n") + end
    found = bytearray()

    with decoding([wire]) as decoder, pytest.raises(error):
        read_to_end(decoder, found)

    assert len(found) == 20 * 32768 + (9 if error is NoMoreData else 0)
    assert decoder.has_failed


def test_chunks_of_one_size_are_received_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = chunked(bytes(100 * 32768), [32768] * 100)
    copied = []
    copy = ChunkDecoder._copy_chunks

    def counted(self: ChunkDecoder, view: memoryview) -> int:
        copied.append(copy(self, view))
        return copied[-1]

    monkeypatch.setattr(ChunkDecoder, "_copy_chunks", counted)

    with decoding([wire]) as decoder:
        read_to_end(decoder, bytearray())

    assert sum(copied) < 32 * 32768
