"""Durations as Go writes them: "24h", "1h30m", "90s", "500ms", "0"."""

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
"""What Go's int64 of nanoseconds holds, about 292 years."""


class InvalidDurationError(ValueError):
    """A text is not a duration."""


def parse_duration(text: str) -> timedelta:
    """Return the duration that `text` says; what is below a microsecond is cut off.

    Negative durations are refused: nothing here can use one. Raises InvalidDurationError.
    Source: https://pkg.go.dev/time#ParseDuration
    """
    if text == "0":
        return timedelta()
    if len(text) > MAX_CHARACTERS or _DURATION.fullmatch(text) is None:
        raise InvalidDurationError('a duration is numbers with units, as "24h", "1h30m", "90s" or "500ms"')
    total = sum(Fraction(f"0{number}0") * _MICROSECONDS[unit] for number, unit in _numbers(text))
    if total > MAX_DURATION // timedelta(microseconds=1):
        raise InvalidDurationError("a duration is at most 292 years")
    return timedelta(microseconds=int(total))


def format_duration(duration: timedelta) -> str:
    """Return `duration` (not negative) as `parse_duration` reads it back: "24h", "1m30s"."""
    rest, parts = duration // timedelta(microseconds=1), ""
    for unit in ("h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, int(_MICROSECONDS[unit]))
        parts += f"{count}{unit}" if count else ""
    return parts or "0"


def _numbers(text: str) -> list[tuple[str, str]]:
    # "5." and ".5" are numbers to Go; a zero on both sides makes them numbers to Fraction.
    parts = [match.groups() for match in _PART.finditer(text)]
    return [(number if "." in number else f"{number}.", unit) for number, unit in parts]
