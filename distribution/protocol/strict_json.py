"""Strict JSON: only documents on which every parser agrees are stored and served again.

If two parsers disagree on a document (the first or the last of two equal keys), a manifest passes a check as one thing
and runs as another. Refused, each with its danger:

    refused                               danger
    not UTF-8, or a byte order mark       Go replaces broken bytes and refuses the mark, others the other way round
    a key twice in one object             Go takes the last, others the first
    NaN and infinite numbers              no JSON: most readers refuse the whole document
    nesting above 64                      readers recurse
    more than 150,000 values              4 MiB of empty arrays take seconds and 300 MiB to read

Odd but harmless and accepted: keys that differ in case, numbers beyond 64 bits, strings with NUL or lone surrogates.
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
# 64 bits and a sign. int() takes quadratic time, and refuses more than 4300 digits.
_INTEGER_MAX_CHARACTERS = 20

# The closing quote is optional: otherwise an unclosed string is matched again from each quote within it.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ALL_BUT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b"[]{},")
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1, ord(","): 0}


def parse_document(payload: bytes, max_values: int = JSON_MAX_VALUES) -> dict[str, object]:
    """Return the JSON object in `payload`; objects are dicts, arrays lists, integers of over 20 characters floats.

    Raises RegistryError MANIFEST_INVALID for malformed JSON, and for everything in the table above.
    """
    if payload.startswith(_BOM):
        raise _invalid("the document begins with a byte order mark")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"the document is not UTF-8 at byte {error.start}") from error
    _check_structure(payload, max_values)
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise _invalid(f"the document is not JSON at line {error.lineno} column {error.colno}: {error.msg}") from error
    if not isinstance(document, dict):
        raise _invalid("the document is not a JSON object")
    return document


def _check_structure(payload: bytes, max_values: int) -> None:
    """Refuse too many values and deep nesting before the parser runs, which recurses and allocates.

    Each step is linear, and takes a few milliseconds per MiB. The first bounds the matches of the second: a value has
    at most two strings, one of them its key, and each string has two quotes.
    """
    too_many = f"the document has more than {max_values} values"
    if payload.count(b'"') - payload.count(b'\\"') > 4 * max_values:
        raise _invalid(too_many)
    structure = _STRING.sub(b"", payload).translate(None, _ALL_BUT_STRUCTURE)
    # Each value follows a comma, or the bracket of its array or object.
    opened = structure.count(b"[") + structure.count(b"{")
    if structure.count(b",") + opened > max_values:
        raise _invalid(too_many)
    if structure.count(b"]") + structure.count(b"}") > opened:
        raise _invalid("the document is not JSON: it closes more arrays and objects than it opens")
    if max(accumulate(map(_STEP.__getitem__, structure)), default=0) > JSON_MAX_DEPTH:
        raise _invalid(f"the document is nested more than {JSON_MAX_DEPTH} levels deep")


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


def _invalid(detail: str) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_INVALID, detail, message=detail)
