"""Digests."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.errors import ErrorCode, RegistryError
from distribution.protocol.digest import ALGORITHMS, Digest, new_hash, parse_digest

HEX_64 = "0123456789abcdef" * 4


@pytest.mark.parametrize("text", [f"sha256:{HEX_64}", f"sha512:{HEX_64}{HEX_64}"])
def test_a_digest_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_digest(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        HEX_64,
        f":{HEX_64}",
        f"sha256:{HEX_64[1:]}",
        f"sha256:{HEX_64}0",
        f"sha256:{HEX_64}{HEX_64}",
        f"sha512:{HEX_64}",
        f"sha256:{HEX_64.upper()}",
        f"SHA256:{HEX_64}",
        f"sha256:{HEX_64[1:]}g",
        f"sha256:{HEX_64[1:]}٣",
        f"sha256:{HEX_64}\n",
        f" sha256:{HEX_64}",
        f"sha256:{HEX_64[1:]}\x00",
        f"sha256%3A{HEX_64}",
        f"sha256:../{HEX_64[3:]}",
        f"md5:{HEX_64[:32]}",
        f"sha384:{HEX_64}{HEX_64[:32]}",
        f"sha256+b64:{HEX_64}",
        f"sha256:sha256:{HEX_64}",
    ],
)
def test_what_is_no_digest_is_digest_invalid(text: str) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_digest(text)

    assert refusal.value.code is ErrorCode.DIGEST_INVALID


def test_the_detail_of_a_long_text_is_short() -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_digest("sha256:" + "a" * 100_000)

    assert len(str(refusal.value.detail)) < 300


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_digest_of_content_is_that_of_hashlib(algorithm: str) -> None:
    expected = hashlib.new(algorithm, b"content").hexdigest()

    assert str(Digest.of(b"content", algorithm)) == f"{algorithm}:{expected}"


def test_a_digest_of_content_is_sha256_unless_asked() -> None:
    assert Digest.of(b"").algorithm == "sha256"


def test_a_running_hash_takes_content_in_parts() -> None:
    running = new_hash("sha512")
    running.update(b"con")
    running.update(memoryview(b"tent"))

    assert running.hexdigest() == Digest.of(b"content", "sha512").encoded


def test_an_algorithm_that_no_digest_has_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="md5"):
        new_hash("md5")


@settings(deadline=None)
@given(st.binary(), st.sampled_from(ALGORITHMS))
def test_every_digest_of_content_is_read_back(payload: bytes, algorithm: str) -> None:
    digest = Digest.of(payload, algorithm)

    assert parse_digest(str(digest)) == digest


@settings(deadline=None)
@given(st.one_of(st.text(st.characters()), st.from_regex(r"sha(256|512):[0-9a-fA-F]+", fullmatch=True)))
def test_any_text_is_a_digest_or_digest_invalid(text: str) -> None:
    outcome: object
    try:
        outcome = parse_digest(text)
    except RegistryError as error:
        outcome = error.code

    assert outcome is ErrorCode.DIGEST_INVALID or str(outcome) == text
