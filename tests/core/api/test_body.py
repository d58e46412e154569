"""Bodies: read in one place, in pieces, with a length or without."""

import io
from typing import Any

import pytest
from django.test import RequestFactory
from gunicorn.http.errors import InvalidChunkSize

import core.api.body
from core.api.body import Body, read_whole
from core.api.errors import ErrorCode, RegistryError


def request(stream: Any, length: str | None = None) -> Any:
    """Return a request whose body comes from `stream`, chunked without a `length`."""
    meta = {"CONTENT_LENGTH": length} if length is not None else {"HTTP_TRANSFER_ENCODING": "chunked"}
    return RequestFactory().generic("PUT", "/", **{"wsgi.input": stream}, **meta)  # type: ignore[arg-type]


class Breaking(io.RawIOBase):
    """A stream that gives some bytes and then breaks; what it still had comes after."""

    def __init__(self, error: Exception, *, left: bytes = b"") -> None:
        self._steps: list[Any] = [b"some", error, left]

    def read(self, size: int = -1) -> bytes:
        step = self._steps.pop(0) if self._steps else b""
        if isinstance(step, Exception):
            raise step
        return bytes(step)


def read_all(body: Body) -> bytes:
    """Read until nothing comes."""
    pieces = []
    while piece := body.read(3):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("length", ["10", None])
def test_a_body_is_read_to_its_end(length: str | None) -> None:
    body = Body(request(io.BytesIO(b"0123456789"), length))

    assert read_all(body) == b"0123456789"
    assert not body.is_incomplete


def test_nothing_is_read_beyond_the_length() -> None:
    stream = io.BytesIO(b"0123456789GET / HTTP/1.1")

    assert Body(request(stream, "10")).read() == b"0123456789"
    assert stream.tell() == 10


def test_a_body_shorter_than_its_length_was_cut() -> None:
    body = Body(request(io.BytesIO(b"01234"), "10"))

    assert read_all(body) == b"01234"
    assert body.is_incomplete


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), InvalidChunkSize(b"x")])
@pytest.mark.parametrize(("length", "kept"), [("100", b"some"), (None, b"somemore")])
def test_a_connection_that_breaks_cuts_the_body_and_keeps_what_came(
    error: Exception, length: str | None, kept: bytes
) -> None:
    body = Body(request(Breaking(error, left=b"more"), length))

    assert read_all(body) == kept
    assert body.is_incomplete


@pytest.mark.parametrize(
    ("error", "has_stalled"), [(TimeoutError(), True), (BlockingIOError(), True), (ConnectionResetError(), False)]
)
@pytest.mark.parametrize("length", ["100", None])
def test_a_client_that_stands_still_is_told_from_one_that_went_away(
    error: Exception, length: str | None, *, has_stalled: bool
) -> None:
    body = Body(request(Breaking(error), length))

    read_all(body)

    assert body.has_stalled == has_stalled


@pytest.mark.parametrize(("length", "is_empty"), [("0", True), ("", True), ("1", False), (None, False)])
def test_a_body_is_empty_when_its_length_says_so(length: str | None, *, is_empty: bool) -> None:
    assert Body(request(io.BytesIO(), length)).is_empty == is_empty


@pytest.mark.parametrize("length", ["-1", "x", "1.5", "\u0661", "9" * 19, "0x10", " 1"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(RegistryError) as raised:
        Body(request(io.BytesIO(), length))

    assert raised.value.code is ErrorCode.SIZE_INVALID


@pytest.mark.parametrize("length", ["5", None])
def test_a_whole_body_up_to_the_limit_is_returned(length: str | None) -> None:
    assert read_whole(request(io.BytesIO(b"01234"), length), 5) == b"01234"


@pytest.mark.parametrize("length", ["6", None])
def test_a_whole_body_above_the_limit_is_refused(length: str | None) -> None:
    assert read_whole(request(io.BytesIO(b"012345"), length), 5) is None


@pytest.mark.parametrize("has_length", [True, False])
def test_a_refused_body_is_read_on_so_that_its_client_hears_the_answer(*, has_length: bool) -> None:
    stream = io.BytesIO(bytes(200_000))

    assert read_whole(request(stream, "200000" if has_length else None), 5) is None

    assert stream.tell() == 200_000


def test_a_refused_body_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.api.body, "DISCARDED_BYTES", 100_000)
    stream = io.BytesIO(bytes(1_000_000))

    assert read_whole(request(stream, "1000000"), 5) is None

    assert stream.tell() < 200_000


@pytest.mark.parametrize("length", ["10", None])
def test_a_whole_body_that_was_cut_is_refused(length: str | None) -> None:
    stream = Breaking(ConnectionResetError()) if length is None else io.BytesIO(b"01234")

    with pytest.raises(RegistryError) as raised:
        read_whole(request(stream, length), 100)

    assert raised.value.code is ErrorCode.SIZE_INVALID
