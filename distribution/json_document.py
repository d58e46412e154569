"""JSON documents that are stored and served again, read so strictly that every reader agrees on them.

Two readers that disagree on a document (the first or the last of two equal keys, `mediaType` or `MediaType`)
are how a manifest passes a check as one thing and is run as another.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import NoReturn

from distribution.spec import JSON_MAX_DEPTH
from tokens.errors import ErrorCode, RegistryError, quoted

_BOM = b"\xef\xbb\xbf"
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1
_INTEGER_MAX_CHARACTERS = 20

# The closing quote is optional, else a string that never closes is tried again from each quote within it.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def parse_document(payload: bytes) -> dict[str, object]:
    """Return the JSON object in `payload`; objects are dicts, arrays lists.

    Refused beside what is no JSON: any encoding but UTF-8 without a byte order mark, keys that are equal or
    equal but for case, NaN and infinite numbers, integers beyond 64 bits, nesting above 64, and strings with
    NUL or lone surrogates, which databases cannot store. Raises RegistryError MANIFEST_INVALID.
    """
    text = _decode(payload)
    _check_depth(payload)
    document = _load(text)
    # Strict JSON has no raw control characters: what cannot be stored can only have been written escaped.
    if "\\u" in text:
        _check_strings(document)
    if not isinstance(document, dict):
        raise _invalid("the document is not a JSON object")
    return document


def _decode(payload: bytes) -> str:
    if payload.startswith(_BOM):
        raise _invalid("the document begins with a byte order mark")
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"the document is not UTF-8 at byte {error.start}") from error


def _check_depth(payload: bytes) -> None:
    """Refuse deep nesting before the parser, which recurses, sees it."""
    brackets = _STRING.sub(b"", payload).translate(None, _ALL_BUT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > JSON_MAX_DEPTH:
        raise _invalid(f"the document is nested more than {JSON_MAX_DEPTH} levels deep")


def _load(text: str) -> object:
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise _invalid(f"the document is not JSON at line {error.lineno} column {error.colno}: {error.msg}") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, str] = {}
    for key, _ in pairs:
        folded = key.casefold()
        if folded in seen:
            raise _invalid(f"the keys {quoted(seen[folded])} and {quoted(key)} of one object are the same")
        seen[folded] = key
    return dict(pairs)


def _integer(text: str) -> int:
    if len(text) > _INTEGER_MAX_CHARACTERS or not _INTEGER_MIN <= int(text) <= _INTEGER_MAX:
        raise _invalid(f"the number {quoted(text)} does not fit into 64 bits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _invalid(f"the number {quoted(text)} is out of range")
    return number


def _constant(text: str) -> NoReturn:
    raise _invalid(f"{text} is not JSON")


def _check_strings(document: object) -> None:
    place = _place_of_unstorable(document)
    if place is not None:
        raise _invalid(f"NUL or a lone surrogate in a string at {quoted(place.lstrip('.') or 'the top')}")


def _place_of_unstorable(value: object) -> str | None:
    """Return where a string cannot be stored, as `.layers[0].digest`, the object for a key; None if nowhere.

    Recurses as deep as the document, which is bounded, and writes a place down only once it is found.
    """
    if isinstance(value, str):
        return "" if _UNSTORABLE.search(value) else None
    items: Iterable[tuple[str, object]] = ()
    if isinstance(value, list):
        items = ((f"[{position}]", item) for position, item in enumerate(value))
    elif isinstance(value, dict):
        if any(map(_UNSTORABLE.search, value)):
            return ""
        items = ((f".{key}", item) for key, item in value.items())
    for step, item in items:
        place = _place_of_unstorable(item)
        if place is not None:
            return step + place
    return None


def _invalid(detail: str) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_INVALID, detail)
