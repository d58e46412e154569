"""JSON documents that are stored and served again, read so strictly that every reader agrees on them.

Two readers that disagree on a document (the first or the last of two equal keys) are how a manifest passes a check as
one thing and is run as another. What is refused, each with its danger:

    what                                  danger
    not UTF-8, or a byte order mark       Go replaces broken bytes and refuses the mark, others the other way round
    a key twice in one object             Go takes the last, others the first
    NaN and infinite numbers              no JSON: most readers refuse the whole document
    nesting above 64                      readers recurse
    more than 150,000 values              4 MiB of empty arrays take seconds and 300 MiB to read

What only looks odd is taken: keys that differ in case, numbers beyond 64 bits, strings with NUL or lone surrogates.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import accumulate
from typing import NoReturn

from core.api.errors import ErrorCode, RegistryError, quoted
from distribution.protocol.spec import JSON_MAX_DEPTH, JSON_MAX_VALUES

_BOM = b"\xef\xbb\xbf"
# Of 64 bits and a sign. int() takes time by the square of the digits, and refuses more than 4300.
_INTEGER_MAX_CHARACTERS = 20

# The closing quote is optional, else a string that never closes is tried again from each quote within it.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ALL_BUT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b"[]{},")
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1, ord(","): 0}


def parse_document(payload: bytes) -> dict[str, object]:
    """Return the JSON object in `payload`; objects are dicts, arrays lists, integers of over 20 characters floats.

    Raises RegistryError MANIFEST_INVALID for what is no JSON, and for what the table above lists.
    """
    text = _decode(payload)
    _check_structure(payload)
    document = _load(text)
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


def _check_structure(payload: bytes) -> None:
    """Refuse too many values and deep nesting before the parser, which recurses and builds objects, sees them.

    Each step is linear, and takes few milliseconds a MiB. The first one bounds the matches of the second: a value is at
    most two strings, with the key before it, and each has two quotes.
    """
    if payload.count(b'"') - payload.count(b'\\"') > 4 * JSON_MAX_VALUES:
        raise _too_many_values()
    structure = _STRING.sub(b"", payload).translate(None, _ALL_BUT_STRUCTURE)
    # A value has a comma before it, or the bracket of what it is the first in.
    opened = structure.count(b"[") + structure.count(b"{")
    if structure.count(b",") + opened > JSON_MAX_VALUES:
        raise _too_many_values()
    if structure.count(b"]") + structure.count(b"}") > opened:
        raise _invalid("the document is not JSON: it closes more arrays and objects than it opens")
    if max(accumulate(map(_STEP.__getitem__, structure)), default=0) > JSON_MAX_DEPTH:
        raise _invalid(f"the document is nested more than {JSON_MAX_DEPTH} levels deep")


def _load(text: str) -> object:
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise _invalid(f"the document is not JSON at line {error.lineno} column {error.colno}: {error.msg}") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counted.items() if count > 1)
        raise _invalid(f"the key {quoted(twice)} is there twice in one object")
    return found


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _INTEGER_MAX_CHARACTERS else float(text)


def _constant(text: str) -> NoReturn:
    raise _invalid(f"{text} is not JSON")


def _too_many_values() -> RegistryError:
    return _invalid(f"the document has more than {JSON_MAX_VALUES} values")


def _invalid(detail: str) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_INVALID, detail, message=detail)
