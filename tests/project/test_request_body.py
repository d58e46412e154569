"""Bodies are read as gunicorn's own readers do, which are slower: the same bytes, the same refusals."""

from dataclasses import replace

import pytest
from gunicorn.http.errors import NoMoreData, ParseException
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.request_body import RAW_BYTES
from tests.project.wire import CountingPool, Outcome, Steps, gunicorns, ours

HEAD = b"PATCH /upload HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FOLLOWING = b"GET /following HTTP/1.1\r\nHost: x\r\n\r\n"

EXTENSIONS = st.sampled_from([b"", b"", b"", b";name", b";name=value", b' ; name="quoted \\" value"', b";", b"; \r"])
VIEWS = st.sampled_from([1, 2, 3, 17, 64, 1000, 1 << 16])
TRAILERS = st.sampled_from(
    [b"", b"", b"Checksum: 1\r\n", b"One: 1\r\nTwo: 2\r\n", b"Content-Length: 5\r\n", b"bad\r\n"]
)


@st.composite
def size_line(draw: st.DrawFn, size: int) -> bytes:
    """Write a size as clients may: any case, zeros before it, extensions behind it."""
    digits = f"{size:x}"
    digits = draw(st.sampled_from([digits, digits.upper()]))
    zeros = "0" * draw(st.sampled_from([0, 0, 0, 1, 7, 8, 9, 14]))
    return (zeros + digits).encode() + draw(EXTENSIONS) + b"\r\n"


@st.composite
def chunked(draw: st.DrawFn) -> bytes:
    """Make a request with a chunked body, and perhaps one that follows it."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=50), max_size=6))
    body = b"".join(draw(size_line(len(chunk))) + chunk + b"\r\n" for chunk in chunks)
    end = draw(size_line(0)) + draw(TRAILERS) + b"\r\n"
    return CHUNKED + body + end + draw(st.sampled_from([b"", FOLLOWING]))


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Make a chunked request in which some bytes were left out, put in or replaced, or that ends too early."""
    request = draw(chunked())
    at = draw(st.integers(len(CHUNKED), len(request.removesuffix(FOLLOWING))))
    put_in = draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"0", b"f", b"g", b"-1", b" ", b"\0", b"x" * 20]))
    left_out = draw(st.sampled_from([0, 1, 2, len(request)]))
    return request[:at] + put_in + request[at + left_out :]


@st.composite
def with_length(draw: st.DrawFn) -> bytes:
    """Make a request with a Content-Length, whose body may be cut, or be followed by another request."""
    body = draw(st.binary(max_size=300))
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    return draw(st.sampled_from([head + body, head + body + FOLLOWING, head + body[: len(body) // 2]]))


@st.composite
def pieces(draw: st.DrawFn, requests: st.SearchStrategy[bytes]) -> list[bytes]:
    """Split a request anywhere."""
    request = draw(requests)
    cuts = sorted(draw(st.lists(st.integers(0, len(request)), max_size=12)))
    return [request[start:end] for start, end in zip([0, *cuts], [*cuts, len(request)], strict=True)]


@settings(deadline=None)
@given(pieces(chunked()), VIEWS)
@example([CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + FOLLOWING], 64)
def test_a_chunked_body_is_what_gunicorn_reads(split: list[bytes], view_bytes: int) -> None:
    assert ours(split, view_bytes) == gunicorns(split, view_bytes)


@settings(deadline=None, max_examples=200)
@given(pieces(broken()), VIEWS)
# A size beyond what comes, after some lines: it is received in place.
@example([CHUNKED + b"1\r\n0\r\n" * 3 + b"f0000001\r\n0\r\n0\r\n\r\n"], 1)
def test_a_broken_chunked_body_is_refused_where_gunicorn_does(split: list[bytes], view_bytes: int) -> None:
    outcome, expected = ours(split, view_bytes), gunicorns(split, view_bytes)

    if outcome.error is ParseException and expected.error is NoMoreData:
        # Gunicorn waits for the end of some lines that can't become good.
        expected = replace(expected, error=ParseException)
    assert outcome == expected


@settings(deadline=None)
@given(pieces(with_length()), VIEWS)
@example([HEAD + b"Content-Length: 5\r\n\r\nhello" + FOLLOWING], 3)
def test_a_body_with_a_length_is_what_gunicorn_reads(split: list[bytes], view_bytes: int) -> None:
    assert ours(split, view_bytes) == gunicorns(split, view_bytes)


@pytest.mark.parametrize("size", [RAW_BYTES - 1, RAW_BYTES, RAW_BYTES + 1, 3 * RAW_BYTES])
@pytest.mark.parametrize("piece_bytes", [1000, RAW_BYTES, 1 << 20])
def test_a_chunk_may_be_larger_than_the_buffer(size: int, piece_bytes: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    request = CHUNKED + b"%x\r\n" % size + payload + b"\r\n0\r\n\r\n" + FOLLOWING
    split = [request[start : start + piece_bytes] for start in range(0, len(request), piece_bytes)]

    assert ours(split, 1 << 20) == Outcome(payload, None, "/following")


def test_ten_thousand_small_chunks_are_read() -> None:
    request = CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n" + FOLLOWING

    assert ours([request], 1 << 20) == Outcome(b"x" * 10_000, None, "/following")


@pytest.mark.parametrize("line", [b"6\r\n", b"6;name\r\n"])
def test_what_came_before_a_cut_is_there_before_the_error(line: bytes) -> None:
    outcome = ours([CHUNKED + b"5\r\nhello\r\n" + line + b" wor"], 64)

    assert outcome == Outcome(b"hello wor", NoMoreData, None)


def test_what_came_before_a_broken_chunk_is_there_before_the_error() -> None:
    outcome = ours([CHUNKED + b"5\r\nhello6\r\n world\r\n0\r\n\r\n" + FOLLOWING], 64)

    assert outcome == Outcome(b"hello", ParseException, None)


@pytest.mark.parametrize(
    "body",
    [
        b"\r\nhello\r\n",
        b"g\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5_0\r\nhello\r\n",
        b"\xb2\r\nhello\r\n",
        b"1" * 17 + b"\r\n",
        b"5;\r\nhello\r\n",
        b"5;=a\r\nhello\r\n",
        b"5;a=\r\nhello\r\n",
        b'5;a="\r\nhello\r\n',
        b"5;a b\r\nhello\r\n",
        b"5;a\rb\r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5;" + b"a" * 8190,
        b"0" * 16 + b"5\r\nhello\r\n",
        b"0" * 8200,
        b"5\r\nhelloXX",
        b"5\r\nhello\n0\r\n",
        b"0\r\nHost: y\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nno field\r\n\r\n",
        b"0\r\na: b\nc: d\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"0\r\na: " + b"b" * 8190,
    ],
)
def test_a_chunked_body_that_nobody_means_is_refused(body: bytes) -> None:
    outcome = ours([CHUNKED + body + b"0\r\n\r\n" + FOLLOWING], 64)

    assert outcome.error is ParseException
    assert outcome.following is None


@pytest.mark.parametrize("body", [b"5\n", b"5;a\n", b"5\r\nhello\n", b"0\r\na: b\n"])
def test_a_line_that_ends_with_a_bare_lf_is_not_waited_for(body: bytes) -> None:
    assert ours([CHUNKED + body], 64).error is ParseException


def test_extensions_that_are_much_longer_than_the_data_are_refused() -> None:
    chunk = b"1;" + b"a" * 1000 + b"\r\nx\r\n"

    outcome = ours([CHUNKED + chunk * 1000 + b"0\r\n\r\n" + FOLLOWING], 64)

    assert outcome == Outcome(b"x" * 16, ParseException, None)


def test_the_signature_of_each_chunk_is_taken() -> None:
    chunk = b"80;chunk-signature=" + b"0" * 64 + b"\r\n" + b"x" * 128 + b"\r\n"

    assert ours([CHUNKED + chunk * 1000 + b"0\r\n\r\n" + FOLLOWING], 64) == Outcome(b"x" * 128_000, None, "/following")


@settings(deadline=None, max_examples=50)
@given(pieces(st.one_of(chunked(), with_length())), st.sampled_from([-1, 1, 3, 20_000]))
@example([CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"], -1)
@example([HEAD + b"Content-Length: 5\r\n\r\nhello"], -1)
def test_what_wsgi_asks_for_is_the_same_body(split: list[bytes], size: int) -> None:
    expected = ours(split, 64)
    for ask in ("read", "readline"):
        steps = Steps(split)

        data = bytearray()
        try:
            while piece := getattr(steps.input, ask)(size):
                data += piece
        except ParseException:
            assert expected.error is ParseException
        else:
            assert (bytes(data), None, steps.following()) == (expected.data, expected.error, expected.following)


def test_what_is_there_is_given_before_the_line_behind_it_has_come() -> None:
    steps = Steps([CHUNKED + b"5\r\nhello\r", b"\n5\r\nworld\r\n0\r\n\r\n"])

    assert [steps.next() for _ in range(3)] == [b"hello", b"world", b""]


def test_what_follows_a_body_is_read_in_pieces() -> None:
    """Each of many requests that came with the body would otherwise copy all that come behind it."""
    steps = Steps([CHUNKED, b"0\r\n\r\n" + FOLLOWING * 1000])

    steps.next()

    assert len(steps.parser.unreader.read()) <= 8192


def test_a_body_is_given_as_it_comes() -> None:
    """Nobody waits for the rest of a chunk: what is there is hashed and written meanwhile."""
    steps = Steps([CHUNKED + b"a\r\nhello", b"world\r\n", b"0\r\n\r\n"])

    assert [steps.next() for _ in range(3)] == [b"hello", b"world", b""]


def test_a_body_that_was_begun_and_left_is_skipped() -> None:
    steps = Steps([CHUNKED + b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n" + FOLLOWING], view_bytes=5)

    steps.next()

    assert steps.following() == "/following"


@pytest.mark.parametrize(
    "body", [b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"Content-Length: 5\r\n\r\nhello"]
)
def test_a_body_that_nobody_began_is_skipped(body: bytes) -> None:
    steps = Steps([HEAD + body + FOLLOWING])

    assert steps.following() == "/following"


def test_a_thread_that_skips_a_body_is_lent() -> None:
    pool = CountingPool()
    steps = Steps([HEAD + b"Content-Length: 5\r\n\r\nhello"], pool=pool)
    before = pool.times

    assert steps.parser.discard_body(lambda: False)
    assert pool.times == before + 1


def test_a_thread_with_no_body_to_skip_is_not_lent() -> None:
    pool = CountingPool()
    steps = Steps([HEAD + b"Content-Length: 5\r\n\r\nhello"], pool=pool)
    steps.next()
    before = pool.times

    assert steps.parser.discard_body(lambda: False)
    assert pool.times == before


def test_a_body_that_nobody_dropped_is_no_request() -> None:
    parser = Steps([HEAD + b"Content-Length: 40\r\n\r\n" + FOLLOWING]).parser

    with pytest.raises(StopIteration):
        next(parser)


def test_the_body_of_a_request_without_one_is_empty_though_another_was_closed() -> None:
    Steps([HEAD + b"\r\n"]).input.close()

    steps = Steps([HEAD + b"\r\n" + FOLLOWING])

    assert (steps.input.read(), steps.input.readlines(), steps.next()) == (b"", [], b"")
    assert steps.following() == "/following"


@pytest.mark.parametrize("ask", ["read", "readline", "readlines", "receive_into"])
def test_a_body_that_was_cut_says_so_however_it_is_read(ask: str) -> None:
    steps = Steps([HEAD + b"Content-Length: 40\r\n\r\n", b"half"])

    view = memoryview(bytearray(64))
    while getattr(steps.input, ask)(*([view] if ask == "receive_into" else [])):
        pass

    assert steps.input.failed
    assert steps.parser.mesg.should_close()


def test_a_body_that_nobody_can_wait_for_ends_its_connection() -> None:
    pool = CountingPool()
    steps = Steps([HEAD + b"Content-Length: 5\r\n\r\nhello" + FOLLOWING], pool=pool)
    pool.transfers = 0

    assert steps.following() is None


@pytest.mark.parametrize("head", [CHUNKED + b"5\r\n", HEAD + b"Content-Length: 5\r\n\r\n"])
def test_an_empty_view_takes_nothing(head: bytes) -> None:
    steps = Steps([head + b"hello"])

    assert steps.input.receive_into(memoryview(bytearray())) == 0
    assert steps.next() == b"hello"
