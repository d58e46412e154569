"""Durations in Go's form."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.durations import (
    MAX_DURATION,
    InvalidDurationError,
    format_duration,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta()),
        ("0s", timedelta()),
        ("24h", timedelta(days=1)),
        ("1h30m", timedelta(minutes=90)),
        ("90s", timedelta(seconds=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1.5h", timedelta(minutes=90)),
        (".5s", timedelta(milliseconds=500)),
        ("5.s", timedelta(seconds=5)),
        ("3us2µs1μs", timedelta(microseconds=6)),
        ("1999ns", timedelta(microseconds=1)),
        ("1s1h", timedelta(seconds=3601)),
        ("2562047h", timedelta(hours=2562047)),
    ],
)
def test_a_duration_is_what_go_reads(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "h",
        ".h",
        "1d",
        "1 h",
        " 1h",
        "1h ",
        "-1h",
        "+1h",
        "1h\n",
        "1e3s",
        "1H",
        "٣h",
        "2562048h",
        "1h" * 51,
    ],
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidDurationError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0"),
        (timedelta(days=1), "24h"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=1, milliseconds=500), "1s500ms"),
    ],
)
def test_a_duration_is_written_shortly(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@settings(deadline=None)
@given(st.timedeltas(min_value=timedelta(), max_value=MAX_DURATION))
def test_what_is_written_reads_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@settings(deadline=None)
@given(st.text(alphabet="0123456789.hmsuµn-+ e"))
def test_any_text_is_a_duration_or_a_named_error(text: str) -> None:
    try:
        duration = parse_duration(text)
    except InvalidDurationError:
        return

    assert timedelta() <= duration <= MAX_DURATION
