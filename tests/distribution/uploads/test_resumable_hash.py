"""A hash goes on where its stored state stopped, and never with a state of another make."""

import hashlib
import importlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distribution.protocol.digest import ALGORITHMS
from distribution.uploads import resumable_hash
from distribution.uploads.resumable_hash import ResumableHash

ALGORITHM = pytest.mark.parametrize("algorithm", ALGORITHMS)
PIECES = st.lists(st.binary(max_size=700), max_size=12)


def test_this_machine_has_a_hash_whose_state_can_be_stored() -> None:
    assert isinstance(resumable_hash.start("sha256"), ResumableHash)


@ALGORITHM
@given(pieces=PIECES, is_stored=st.lists(st.booleans(), min_size=12, max_size=12))
def test_it_computes_as_hashlib_wherever_its_state_was_stored(
    algorithm: str, pieces: list[bytes], is_stored: list[bool]
) -> None:
    running, size = resumable_hash.start(algorithm), 0
    for piece, stored in zip(pieces, is_stored, strict=False):
        running.update(piece)
        size += len(piece)
        if stored:
            resumed = resumable_hash.resume(resumable_hash.state_of(running), algorithm, size)
            assert resumed is not None
            running = resumed

    assert running.hexdigest() == hashlib.new(algorithm, b"".join(pieces)).hexdigest()


@ALGORITHM
@pytest.mark.parametrize(
    "made",
    [
        bytes,
        bytearray,
        memoryview,
        lambda content: memoryview(bytearray(content)),
        lambda content: memoryview(content)[:],
    ],
)
def test_it_takes_bytes_in_every_form(algorithm: str, made: type[bytes]) -> None:
    running = resumable_hash.start(algorithm)

    running.update(made(b"some bytes"))
    running.update(made(b""))

    assert running.hexdigest() == hashlib.new(algorithm, b"some bytes").hexdigest()


def test_a_piece_of_a_buffer_is_hashed_and_not_what_lies_beside_it() -> None:
    buffer = memoryview(bytearray(b"before, inside, after"))
    running = resumable_hash.start("sha256")

    running.update(buffer[8:14])

    assert running.hexdigest() == hashlib.sha256(b"inside").hexdigest()


def test_to_ask_for_the_digest_does_not_end_the_hash() -> None:
    running = resumable_hash.start("sha256")
    running.update(b"one")

    assert [running.hexdigest() for _ in range(2)] == [hashlib.sha256(b"one").hexdigest()] * 2
    running.update(b"two")
    assert running.hexdigest() == hashlib.sha256(b"onetwo").hexdigest()


def state(algorithm: str = "sha256", content: bytes = b"bytes") -> bytes:
    """Return the state of a hash of `content`."""
    running = resumable_hash.start(algorithm)
    running.update(content)
    found = resumable_hash.state_of(running)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        b"",
        b"sha256",
        state("sha512"),
        state()[:-1],
        state() + b"\0",
        state(content=b"other"[:4]),
        state().replace(b"libcrypto", b"openssl-4"),
        state().replace(sys.byteorder.encode(), b"middle"),
    ],
)
def test_a_state_of_another_make_or_of_other_bytes_is_not_resumed(foreign: bytes | None) -> None:
    assert resumable_hash.resume(state(), "sha256", 5) is not None
    assert resumable_hash.resume(foreign, "sha256", 5) is None


def test_without_libcrypto_hashlib_computes_and_no_state_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = state()
    monkeypatch.setattr(resumable_hash, "_functions", {})

    running = resumable_hash.start("sha256")
    running.update(b"bytes")

    assert running.hexdigest() == hashlib.sha256(b"bytes").hexdigest()
    assert resumable_hash.state_of(running) is None
    assert resumable_hash.resume(stored, "sha256", 5) is None


@pytest.mark.parametrize("module", ["_hashlib_that_is_not_there", "_ctypes"])
def test_a_library_without_these_functions_is_not_used(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    import_module = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda _name: import_module(module))

    assert resumable_hash._load() == {}


def test_a_certified_library_is_not_gone_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("_hashlib"), "get_fips_mode", lambda: 1)

    assert resumable_hash._load() == {}


def test_a_library_whose_structure_is_another_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_hash, "_computes_as_hashlib", lambda *_: False)

    assert resumable_hash._load() == {}
