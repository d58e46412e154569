"""Durations in Go's syntax: "24h", "1h30m", "90s", "500ms", "0"."""

import re
from datetime import timedelta
from fractions import Fraction

_MICROSECONDS = {
    "h": Fraction(3_600_000_000),
    "m": Fraction(60_000_000),
    "s": Fraction(1_000_000),
    "ms": Fraction(1_000),
    "us": Fraction(1),
    "µs": Fraction(1),
    "μs": Fraction(1),
    "ns": Fraction(1, 1_000),
}
_PART = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(h|ms|m|s|us|µs|μs|ns)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

MAX_CHARACTERS = 100
MAX_DURATION = timedelta(microseconds=(2**63 - 1) // 1000)
"""Go's int64 of nanoseconds, about 292 years."""


class InvalidDurationError(ValueError):
    """The string is not a duration."""


def parse_duration(text: str) -> timedelta:
    """Parse a duration, rounded down to microseconds.

    Negative durations are refused: no setting can use one. Raises InvalidDurationError.
    Source: https://pkg.go.dev/time#ParseDuration
    """
    if text == "0":
        return timedelta()
    if len(text) > MAX_CHARACTERS or _DURATION.fullmatch(text) is None:
        raise InvalidDurationError('a duration is numbers with units, as "24h", "1h30m", "90s" or "500ms"')
    total = Fraction(0)
    for number, unit in _PART.findall(text):
        # "5." and ".5" are numbers to Go; a zero on both sides makes them numbers to Fraction.
        total += Fraction(f"0{number}{'' if '.' in number else '.'}0") * _MICROSECONDS[unit]
    if total > MAX_DURATION // timedelta(microseconds=1):
        raise InvalidDurationError("a duration is at most 292 years")
    return timedelta(microseconds=int(total))


def format_duration(duration: timedelta) -> str:
    """Format a non-negative duration for `parse_duration`: "24h", "1m30s"."""
    rest, parts = duration // timedelta(microseconds=1), ""
    for unit in ("h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, int(_MICROSECONDS[unit]))
        parts += f"{count}{unit}" if count else ""
    return parts or "0"
