"""Strict JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.errors import ErrorCode, RegistryError
from distribution.protocol.strict_json import parse_document

storable_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
folded_keys = st.text("abcdef", max_size=4)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), storable_text
).filter(lambda value: value not in {float("inf"), float("-inf")})
documents = st.dictionaries(
    folded_keys,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(folded_keys, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"{}", {}),
        (b' \r\n\t{"a": 1}\n', {"a": 1}),
        (
            b'{"a": [1, -2, 0.5, 1e3, true, false, null, "x"]}',
            {"a": [1, -2, 0.5, 1000.0, True, False, None, "x"]},
        ),
        ('{"ä": "日本 \U0001f433"}'.encode(), {"ä": "日本 🐳"}),
        (rb'{"a": "\ud83d\udc33 \u00e4 \\u0000 \""}', {"a": '🐳 ä \\u0000 "'}),
        (b'{"a": 9223372036854775807, "b": -9223372036854775808}', {"a": 2**63 - 1, "b": -(2**63)}),
        (b'{"a": {"b": 1}, "b": {"a": 1}}', {"a": {"b": 1}, "b": {"a": 1}}),
        (b'{"a": "[[[[{{{{\\"]]"}', {"a": '[[[[{{{{"]]'}),
        (b'{"digest": 1, "Digest": 2}', {"digest": 1, "Digest": 2}),
        ('{"strasse": 1, "stra\u00dfe": 2}'.encode(), {"strasse": 1, "stra\u00dfe": 2}),
        ('{"size": 1, "\u017fize": 2}'.encode(), {"size": 1, "\u017fize": 2}),
        (b'{"a": 1e400, "b": -1e400}', {"a": math.inf, "b": -math.inf}),
        (b'{"a": 9223372036854775808}', {"a": 2**63}),
        (b'{"a": ' + b"1" * 100_000 + b"}", {"a": math.inf}),
        (rb'{"a": "\u0000", "b": ["\ud800"]}', {"a": "\0", "b": ["\ud800"]}),
    ],
)
def test_a_document_is_read(payload: bytes, expected: dict[str, Any]) -> None:
    assert parse_document(payload) == expected


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (b"", "not JSON at line 1 column 1"),
        (b"nonsense", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1}x', "not JSON at line 1 column 9"),
        (b'{"a": 1}{}', "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": "\x00"}', "not JSON"),
        (b'{"a": "\n"}', "not JSON"),
        (b'{"a": "', "not JSON"),
        (b'{"a": 1} // why', "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"1", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\xc0\x80"}', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        ("{}".encode("utf-16-be"), "not JSON"),
        (b'{"a": 1, "a": 1}', "'a' is there twice"),
        (b'{"x": [{"y": {"a": 1, "\\u0061": 2}}]}', "'a' is there twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": Infinity}', "Infinity is not JSON"),
        (b'{"a": [-Infinity]}', "-Infinity is not JSON"),
    ],
)
def test_what_readers_could_take_differently_is_manifest_invalid(payload: bytes, detail: str) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_document(payload)

    assert refusal.value.code is ErrorCode.MANIFEST_INVALID
    assert detail in refusal.value.message


def test_150_000_values_are_read_and_one_more_is_refused() -> None:
    # The document, its array, and a bracket and a comma for each item but the first, which has no comma.
    items = b",".join([b"[]"] * 74_999)
    parse_document(b'{"a":[%b,0]}' % items)

    with pytest.raises(RegistryError, match="150000 values"):
        parse_document(b'{"a":[%b,0,0]}' % items)


def test_20_000_layers_with_two_annotations_each_are_read() -> None:
    layer = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": f"sha256:{'a' * 64}",
        "size": 1,
        "annotations": {"a": "", "b": ""},
    }
    payload = json.dumps({"layers": [layer] * 20_000}, separators=(",", ":")).encode()

    assert parse_document(payload) == {"layers": [layer] * 20_000}


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (b'{"a":[%b]}' % (b'""' * 1_000_000), "150000 values"),
        (b'{"a":[%b]}' % (b'"\\\\"' * 1_000_000), "150000 values"),
        (b'"' * 4_000_000, "150000 values"),
        (b'{"a":' * 600_000, "150000 values"),
        (b"{" + b"]" * 4_000_000, "closes more"),
    ],
)
def test_what_the_parser_would_refuse_late_is_refused_before_it(
    payload: bytes, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", None)

    with pytest.raises(RegistryError, match=detail):
        parse_document(payload)


def test_quotes_within_strings_are_no_values() -> None:
    assert parse_document(b'{"a":"%b"}' % (b'\\"' * 2_000_000)) == {"a": '"' * 2_000_000}


def test_64_levels_are_read_and_one_more_is_refused() -> None:
    parse_document(nested(64))

    with pytest.raises(RegistryError, match="64 levels"):
        parse_document(nested(65))


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 4_000_000,
        b'{"a":' * 500_000,
        b'{"a": "\\\\"' + b"[" * 100_000,
        b'"' + b'\\"' * 2_000_000,
        b'"' + b"\\" * 2_000_001,
        b'{"a": "' + b"a" * 4_000_000,
        nested(1_000_000),
    ],
)
def test_four_hostile_megabytes_are_manifest_invalid(payload: bytes) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_document(payload)

    assert refusal.value.code is ErrorCode.MANIFEST_INVALID
    assert len(str(refusal.value.detail)) < 300


@settings(deadline=None)
@given(documents, st.booleans())
def test_every_document_that_can_be_stored_is_read_back(document: dict[str, Any], ascii_only: bool) -> None:
    payload = json.dumps(document, ensure_ascii=ascii_only).encode()

    assert parse_document(payload) == document


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text('{}[]":,0aA\\u').map(str.encode)))
def test_any_bytes_are_an_object_or_manifest_invalid(payload: bytes) -> None:
    outcome: object
    try:
        outcome = parse_document(payload)
    except RegistryError as error:
        outcome = error.code

    assert outcome is ErrorCode.MANIFEST_INVALID or outcome == json.loads(payload)
