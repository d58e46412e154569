"""Ranges of names in byte order: the database reads only names that a pattern may match."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from acl.glob import is_literal, literal_prefix


@dataclass(frozen=True, slots=True, order=True)
class NameRange:
    """The half-open interval from `low` to `high`; None means no upper bound."""

    low: str
    high: str | None
    is_whole: bool = field(default=False, compare=False)
    """Whether the patterns match every name in it."""


EVERY_NAME = NameRange("", None)

BEHIND = "\x7f"
"""Sorts behind every character of a name."""


def ranges_of(patterns: Iterable[str]) -> tuple[NameRange, ...]:
    """Return sorted, disjoint ranges that contain every name which a pattern matches, and possibly others.

    A range follows from the literal prefix of its pattern.
    """
    merged: list[NameRange] = []
    for found in sorted((_range_of(p) for p in patterns if literal_prefix(p).isascii()), key=lambda r: r.low):
        last = merged[-1] if merged else None
        if last is not None and (last.high is None or found.low <= last.high):
            high = None if last.high is None or found.high is None else max(last.high, found.high)
            merged[-1] = NameRange(last.low, high, last.is_whole and (found.is_whole or high == last.high))
        else:
            merged.append(found)
    return tuple(merged)


def covers(ranges: Sequence[NameRange], name: str) -> bool:
    """Tell whether `name` lies in one of the sorted, disjoint `ranges`."""
    position = bisect_right(ranges, name, key=attrgetter("low")) - 1
    if position < 0:
        return False
    high = ranges[position].high
    return high is None or name < high


def narrowed(ranges: Iterable[NameRange], prefix: str) -> Iterator[NameRange]:
    """Yield the parts of `ranges` whose names begin with `prefix`."""
    if not prefix.isascii():
        # No name begins with it.
        return
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else None
    for found in ranges:
        low = max(found.low, prefix)
        high = min(filter(None, (found.high, end)), default=None)
        if high is None or low < high:
            # A part of a range of which every name matches is one, too.
            yield replace(found, low=low, high=high)


def _range_of(pattern: str) -> NameRange:
    prefix = literal_prefix(pattern)
    if is_literal(pattern):
        # `!` sorts before every character of a name, so only the name itself is in this range.
        return NameRange(pattern, f"{pattern}!", is_whole=True)
    is_whole = not pattern.removeprefix(prefix).strip("*")
    return NameRange(prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else None, is_whole)
