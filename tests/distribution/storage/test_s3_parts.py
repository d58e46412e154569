"""Parts: of a stream, and of objects that are joined."""

import pytest

from distribution.storage.cloud import Piece, Span
from distribution.storage.s3_parts import (
    MAX_COPY_BYTES,
    MAX_PARTS,
    MIN_PART_BYTES,
    PART_BYTES,
    joined_parts,
    part_size,
)

MIB = 1024 * 1024
TIB = 1024**4


def test_parts_hold_the_largest_object_of_s3() -> None:
    sent = parts = 0
    while sent < 5 * TIB:
        sent += part_size(sent)
        parts += 1

    assert parts <= MAX_PARTS


def test_parts_are_of_one_size_up_to_8_gib() -> None:
    assert {part_size(sent) for sent in range(0, 8000 * MIB, PART_BYTES)} == {PART_BYTES}


def sizes_of(*pieces: int) -> list[list[int]]:
    """Return the sizes of the spans of each part that joins pieces of these sizes."""
    named = [Piece(str(number), size) for number, size in enumerate(pieces)]
    return [[span.size // MIB for span in part] for part in joined_parts(named)]


@pytest.mark.parametrize(
    ("pieces", "parts"),
    [
        ([3, 3], [[3, 2], [1]]),
        ([3, 20], [[3, 2], [18]]),
        ([20, 3], [[20], [3]]),
        ([5, 5, 5, 5], [[5], [5], [5], [5]]),
        ([9, 9], [[9], [9]]),
        ([10, 10, 10], [[10], [10], [10]]),
        ([1, 1, 1, 1, 1, 1], [[1, 1, 1, 1, 1], [1]]),
        ([4, 6, 7], [[4, 1], [5], [7]]),
        ([4, 5, 7], [[4, 1], [4, 1], [6]]),
        ([300], [[150], [150]]),
    ],
)
def test_only_small_pieces_are_read(pieces: list[int], parts: list[list[int]]) -> None:
    assert sizes_of(*(size * MIB for size in pieces)) == parts


@pytest.mark.parametrize("sizes", [[1] * 50, [MIN_PART_BYTES - 1, MIN_PART_BYTES, 1, 2 * MAX_COPY_BYTES + 1, 7], [1]])
def test_parts_are_the_pieces_in_their_order_and_large_enough(sizes: list[int]) -> None:
    parts = list(joined_parts([Piece(str(number), size) for number, size in enumerate(sizes)]))

    spans = [span for part in parts for span in part]
    for number, size in enumerate(sizes):
        own = [span for span in spans if span.key == str(number)]
        assert [span.first for span in own] == [0, *(span.end for span in own[:-1])]
        assert own[-1].end == size
    assert [int(span.key) for span in spans] == sorted(int(span.key) for span in spans)
    assert all(sum(span.size for span in part) >= MIN_PART_BYTES for part in parts[:-1])
    assert all(span.size <= MAX_COPY_BYTES for span in spans)


def test_a_span_has_a_size() -> None:
    assert Span("key", 3, 10).size == 7
