"""Byte ranges: `Content-Range` of an upload's chunk, `Range` of a download."""

from __future__ import annotations

import re

from core.api.errors import ErrorCode, RegistryError, quoted

# Larger numbers are all read as _BEYOND: above any size, below the limit of int() on strings.
_MAX_DIGITS = 18
_BEYOND = 10**_MAX_DIGITS

_CONTENT_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})|bytes ([0-9]{1,18})-([0-9]{1,18})/(\*|[0-9]{1,18})")
# re.ASCII: otherwise ignoring case lets a long s (U+017F) end the unit.
_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII | re.IGNORECASE)


def parse_content_range(text: str) -> tuple[int, int]:
    """Return (first byte, last byte) of a chunk, both inclusive.

    Takes `0-1023` (OCI Distribution Specification v1.1, "Pushing a blob in chunks") and the form of
    RFC 9110 section 14.4: `bytes 0-1023/2048`, `bytes 0-1023/*`. Raises RegistryError RANGE_INVALID.
    """
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        raise _content_range_error(text, "expected <first byte>-<last byte>")
    start, end = int(match[1] or match[3]), int(match[2] or match[4])
    if start > end:
        raise _content_range_error(text, "the last byte comes before the first")
    if match[5] not in (None, "*") and end >= int(match[5]):
        raise _content_range_error(text, "the last byte lies beyond the size")
    return start, end


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return (first byte, last byte), both inclusive, that `header` requests of a representation of `size` bytes.

    None means that the header is ignored: another unit, several ranges, or not a range at all.
    Raises RegistryError RANGE_INVALID with `Content-Range: bytes */<size>` for a range outside of it.
    Source: RFC 9110 sections 14.1.2 and 14.2.
    """
    match = _RANGE.fullmatch(header)
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start = _bounded(match[1])
        end = _bounded(match[2]) if match[2] else _BEYOND
        if start > end:
            return None
    else:
        length = _bounded(match[2])
        if length and not size:
            # The last bytes of an empty representation can be requested, yet no Content-Range can say "0 bytes of 0".
            return None
        start, end = max(size - length, 0), _BEYOND
    if start >= size:
        detail, headers = f"the range lies outside of the {size} bytes", {"Content-Range": f"bytes */{size}"}
        raise RegistryError(ErrorCode.RANGE_INVALID, detail, headers=headers)
    return start, min(end, size - 1)


def _bounded(digits: str) -> int:
    """Return the number, at most _BEYOND: int() refuses strings of more than 4300 digits."""
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MAX_DIGITS else _BEYOND


def _content_range_error(text: str, reason: str) -> RegistryError:
    return RegistryError(ErrorCode.RANGE_INVALID, f"Content-Range {quoted(text)}: {reason}")
