"""The generator reads answers strictly, however they arrive."""

import pytest

from bench.response import HEAD_MAX_BYTES, Reader, Response, ResponseError

OK = b"HTTP/1.1 200 OK\r\n"
WITH_LENGTH = OK + b"Content-Type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\n\r\n"
TRAILED = OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nDigest: 1\r\n\r\n"


def read(*pieces: bytes, is_head: bool = False, keep: bool = True) -> Response:
    """Return the answer that the pieces are; fail when it is not whole."""
    reader = Reader(is_head=is_head, keep=keep)
    for piece in pieces:
        assert not reader.is_complete
        reader.feed(piece)
    assert reader.is_complete
    return reader.response


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED, TRAILED])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_answer_is_the_same_in_pieces_of_any_size(answer: bytes, size: int) -> None:
    pieces = [answer[start : start + size] for start in range(0, len(answer), size)]

    response = read(*pieces)

    assert (response.status, response.length, bytes(response.body)) == (200, 5, b"hello")


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED])
def test_a_body_that_nobody_wants_is_counted_only(answer: bytes) -> None:
    response = read(answer, keep=False)

    assert (response.length, bytes(response.body)) == (5, b"")


def test_the_body_of_an_error_is_kept() -> None:
    response = read(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", keep=False)

    assert bytes(response.body) == b"busy"


def test_an_answer_to_head_has_no_body() -> None:
    response = read(OK + b"Content-Length: 10240\r\n\r\n", is_head=True)

    assert (response.length, bytes(response.body)) == (10240, b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_body_ends_with_its_head(status: int) -> None:
    assert read(b"HTTP/1.1 %d X\r\nContent-Length: 7\r\n\r\n" % status).status == status


def test_an_empty_body_is_whole() -> None:
    assert read(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").length == 0


def test_a_header_is_found_whatever_its_case() -> None:
    response = read(b"HTTP/1.1 202 Accepted\r\nLOCATION:  /v2/Name \r\nX-Location: no\r\nContent-Length: 0\r\n\r\n")

    assert response.header("Location") == "/v2/Name"
    assert response.header("Other") == ""


def test_a_server_that_will_close_says_so() -> None:
    assert read(OK + b"Connection: Close\r\nContent-Length: 0\r\n\r\n").will_close
    assert not read(OK + b"Connection: keep-alive\r\nContent-Length: 0\r\n\r\n").will_close


def test_the_rest_of_a_long_body_can_be_skipped() -> None:
    reader = Reader()
    reader.feed(OK + b"Content-Length: 100\r\n\r\n" + b"x" * 30)
    wanted = reader.skippable

    reader.skip(70)

    assert (wanted, reader.is_complete) == (70, True)


@pytest.mark.parametrize(
    ("head", "keep"),
    [(b"Content-Length: 100", True), (b"Transfer-Encoding: chunked", False)],
    ids=["kept", "chunked"],
)
def test_a_body_that_is_looked_at_is_not_skipped(head: bytes, keep: bool) -> None:
    reader = Reader(keep=keep)

    reader.feed(OK + head + b"\r\n\r\n64\r\n")

    assert reader.remaining
    assert not reader.skippable


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", "not a status line"),
        (b"<html>\r\n\r\n", "not a status line"),
        (b"HTTP/1.1 2xx OK\r\n\r\n", "not a status line"),
        (OK + b"Content-Type: text/plain\r\n\r\n", "neither Content-Length nor chunks"),
        (OK + b"Content-Length: -5\r\n\r\n", "Content-Length is no number"),
        (OK + b"Content-Length: 5x\r\n\r\n", "Content-Length is no number"),
        (WITH_LENGTH + b"!", "1 bytes after the end"),
        (CHUNKED + WITH_LENGTH, "bytes after the end"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "size of a chunk is no number"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n", "longer than its size"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 9000, "a line between chunks"),
        (OK + b"X: " + b"x" * HEAD_MAX_BYTES, "the head of an answer has more"),
    ],
)
def test_what_is_not_one_whole_answer_is_an_error(answer: bytes, message: str) -> None:
    reader = Reader()

    with pytest.raises(ResponseError, match=message):
        reader.feed(answer)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (b"", "before an answer"),
        (OK[:5], "in the middle"),
        (WITH_LENGTH[:-1], "in the middle"),
        (CHUNKED[:-1], "in the middle"),
    ],
)
def test_a_stream_that_ends_early_is_an_error_that_says_where(before: bytes, message: str) -> None:
    reader = Reader()
    reader.feed(before)

    error = reader.end()

    assert not reader.is_complete
    assert message in str(error)
