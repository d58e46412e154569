"""Tags and references."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.errors import ErrorCode, RegistryError
from distribution.protocol.digest import Digest
from distribution.protocol.references import parse_reference, parse_tag


@pytest.mark.parametrize(
    "text", ["latest", "v1.2.3", "1", "_", "_x", "A", "a-", "a.", "a..b", "sha256-abc.sig", "a" * 128]
)
def test_a_tag_is_kept_as_it_is(text: str) -> None:
    assert parse_tag(text) == text
    assert parse_reference(text) == text


@pytest.mark.parametrize(
    "text",
    ["", ".a", "-a", ".", "..", "a/b", "a b", "a+b", "a@b", "a\n", "a\x00", "ä", "٣", "a%2Fb", "a" * 129],
)
def test_what_is_no_tag_is_tag_invalid(text: str) -> None:
    for parse in (parse_tag, parse_reference):
        with pytest.raises(RegistryError) as refusal:
            parse(text)

        assert refusal.value.code is ErrorCode.TAG_INVALID


def test_a_tag_has_no_colon() -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_tag("a:b")

    assert refusal.value.code is ErrorCode.TAG_INVALID


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_reference_may_be_a_digest(algorithm: str) -> None:
    digest = Digest.of(b"manifest", algorithm)

    assert parse_reference(str(digest)) == digest


@pytest.mark.parametrize("text", ["sha256:abc", "a:b", ":", "latest:"])
def test_a_reference_with_a_colon_that_is_no_digest_is_digest_invalid(text: str) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_reference(text)

    assert refusal.value.code is ErrorCode.DIGEST_INVALID


@settings(deadline=None)
@given(st.one_of(st.text(st.characters()), st.text("aA0_.-:", max_size=140)))
def test_any_text_is_a_reference_or_refused_with_400(text: str) -> None:
    outcome: object
    try:
        outcome = parse_reference(text)
    except RegistryError as error:
        outcome = error.status

    assert outcome == 400 or str(outcome) == text
