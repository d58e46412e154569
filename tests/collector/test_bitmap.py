"""Bitmap is a set of numbers."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from collector.dry_run.pk_set import Bitmap

_NUMBERS = st.sets(st.one_of(st.integers(0, 5000), st.integers(0, 1 << 62)))


@given(_NUMBERS, st.integers(0, 10_000))
def test_a_bitmap_is_a_sorted_set(numbers: set[int], other: int) -> None:
    bitmap = Bitmap()
    for number in numbers:
        bitmap.add(number)

    assert list(bitmap) == sorted(numbers)
    assert (other in bitmap) == (other in numbers)


def test_a_great_number_needs_no_more_memory_than_a_small_one() -> None:
    sizes = []
    for number in (1, 1 << 62):
        tracemalloc.start()
        bitmap = Bitmap()
        bitmap.add(number)
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert max(sizes) < 2 * min(sizes)
