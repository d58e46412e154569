"""Byte ranges of chunks and of downloads."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.errors import ErrorCode, RegistryError
from distribution.protocol.byte_ranges import parse_content_range, parse_range

# An exabyte, above which ranges are not exact.
sizes = st.integers(0, 10**18)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-1023", (0, 1023)),
        ("0-0", (0, 0)),
        ("1024-2047", (1024, 2047)),
        ("007-010", (7, 10)),
        ("bytes 0-1023/2048", (0, 1023)),
        ("bytes 1024-2047/2048", (1024, 2047)),
        ("bytes 0-1023/*", (0, 1023)),
        ("0-999999999999999999", (0, 10**18 - 1)),
    ],
)
def test_a_chunk_has_a_first_and_a_last_byte(text: str, expected: tuple[int, int]) -> None:
    assert parse_content_range(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "0-",
        "-5",
        "0--1",
        "5-4",
        "+0-5",
        "0-5 ",
        " 0-5",
        "0-5\n",
        "0 - 5",
        "0-5,6-9",
        "\u0660-\u0665",
        "0x0-0x5",
        "1_0-2_0",
        "0-5/10",
        "bytes 0-5",
        "bytes=0-5",
        "bytes 0-5/5",
        "bytes 0-5/",
        "bytes */5",
        "items 0-5/10",
        "0-1000000000000000000",
        "0-" + "9" * 5000,
    ],
)
def test_what_is_no_content_range_is_range_invalid(text: str) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_content_range(text)

    assert refusal.value.code is ErrorCode.RANGE_INVALID
    assert refusal.value.status == 416


@settings(deadline=None)
@given(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1), st.sampled_from(["{}-{}", "bytes {}-{}/*"]))
def test_every_written_chunk_is_read_back(one: int, other: int, form: str) -> None:
    start, end = sorted((one, other))

    assert parse_content_range(form.format(start, end)) == (start, end)


@settings(deadline=None)
@given(st.one_of(st.text(), st.text("0123456789-/* bytes")))
def test_any_text_is_a_content_range_or_range_invalid(text: str) -> None:
    outcome: object
    try:
        outcome = parse_content_range(text)
    except RegistryError as error:
        outcome = error.code

    if isinstance(outcome, tuple):
        assert 0 <= outcome[0] <= outcome[1]
    else:
        assert outcome is ErrorCode.RANGE_INVALID


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-9", (0, 9)),
        ("bytes=9-9", (9, 9)),
        ("bytes=2-5", (2, 5)),
        ("bytes=2-", (2, 9)),
        ("bytes=2-10", (2, 9)),
        ("bytes=-1", (9, 9)),
        ("bytes=-10", (0, 9)),
        ("bytes=-11", (0, 9)),
        ("Bytes=2-5", (2, 5)),
        ("bytes= 2-5\t", (2, 5)),
        ("bytes=0002-0005", (2, 5)),
        ("bytes=0-" + "9" * 8000, (0, 9)),
        ("bytes=-" + "9" * 8000, (0, 9)),
        ("bytes=" + "0" * 8000 + "-5", (0, 5)),
    ],
)
def test_a_range_of_ten_bytes_is_clamped_to_them(header: str, expected: tuple[int, int]) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=15-12",
        "bytes=--5",
        "bytes=+2-5",
        "bytes=2 - 5",
        "bytes=2-5\n",
        "bytes=0-0,2-3",
        "bytes=0-0,",
        "bytes =0-5",
        "byte\u017f=0-5",
        "bytes=\u0660-\u0665",
        "items=0-5",
        "0-5",
        "bytes 0-5/10",
    ],
)
def test_a_header_that_is_no_single_byte_range_is_ignored(header: str) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=10-20", 10),
        ("bytes=" + "9" * 8000 + "-", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=-0", 0),
    ],
)
def test_a_range_beyond_the_content_is_416_and_names_the_size(header: str, size: int) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_range(header, size)

    assert refusal.value.code is ErrorCode.RANGE_INVALID
    assert refusal.value.headers == {"Content-Range": f"bytes */{size}"}


def test_the_last_bytes_of_nothing_are_the_whole() -> None:
    assert parse_range("bytes=-5", 0) is None


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"bytes=[0-9]*-[0-9]*", fullmatch=True)), sizes)
def test_a_range_lies_within_the_content(header: str, size: int) -> None:
    outcome: object
    try:
        outcome = parse_range(header, size)
    except RegistryError as error:
        outcome = error.code

    if isinstance(outcome, tuple):
        assert 0 <= outcome[0] <= outcome[1] < size
    else:
        assert outcome in {None, ErrorCode.RANGE_INVALID}
