"""Ranges of names in byte order, so that a database reads only names that some pattern may match."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from acl.glob import is_literal, literal_prefix


@dataclass(frozen=True, slots=True, order=True)
class NameRange:
    """Names from `low` on and before `high`; None: to the end."""

    low: str
    high: str | None


EVERY_NAME = NameRange("", None)


def ranges_of(patterns: Iterable[str]) -> tuple[NameRange, ...]:
    """Return the ranges, in order and apart from each other, that hold every name which a pattern matches.

    What lies in them still has to be matched: a range knows only how a pattern begins.
    """
    merged: list[NameRange] = []
    for found in sorted((_range_of(p) for p in patterns if literal_prefix(p).isascii()), key=lambda r: r.low):
        if merged and _overlap(merged[-1], found):
            merged[-1] = NameRange(merged[-1].low, _later(merged[-1].high, found.high))
        else:
            merged.append(found)
    return tuple(merged)


def covers(ranges: Sequence[NameRange], name: str) -> bool:
    """Tell whether `name` lies in one of `ranges`, which are in order and apart from each other."""
    position = bisect_right(ranges, name, key=attrgetter("low")) - 1
    if position < 0:
        return False
    high = ranges[position].high
    return high is None or name < high


def _range_of(pattern: str) -> NameRange:
    prefix = literal_prefix(pattern)
    if is_literal(pattern):
        # No character of a name sorts before `!`, so nothing but the name itself lies in here.
        return NameRange(pattern, f"{pattern}!")
    if not prefix:
        return EVERY_NAME
    return NameRange(prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))


def _overlap(earlier: NameRange, later: NameRange) -> bool:
    return earlier.high is None or later.low <= earlier.high


def _later(one: str | None, other: str | None) -> str | None:
    return None if one is None or other is None else max(one, other)
