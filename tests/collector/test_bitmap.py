"""Bitmap is a set of numbers."""

from hypothesis import given
from hypothesis import strategies as st

from collector.bitmap import Bitmap

_NUMBERS = st.sets(st.integers(0, 5000))


@given(_NUMBERS, st.integers(0, 10_000))
def test_a_bitmap_is_a_sorted_set(numbers: set[int], other: int) -> None:
    bitmap = Bitmap()
    for number in numbers:
        bitmap.add(number)

    assert list(bitmap) == sorted(numbers)
    assert (other in bitmap) == (other in numbers)
