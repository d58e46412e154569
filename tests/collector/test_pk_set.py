"""PkSet is a set of numbers."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from collector.dry_run.pk_set import PkSet

_NUMBERS = st.sets(st.one_of(st.integers(0, 5000), st.integers(0, 1 << 62)))


@given(_NUMBERS, st.integers(0, 10_000))
def test_a_pk_set_is_a_sorted_set(numbers: set[int], other: int) -> None:
    pks = PkSet()
    for number in numbers:
        pks.add(number)

    assert list(pks) == sorted(numbers)
    assert (other in pks) == (other in numbers)


def test_a_great_number_needs_no_more_memory_than_a_small_one() -> None:
    sizes = []
    for number in (1, 1 << 62):
        tracemalloc.start()
        pks = PkSet()
        pks.add(number)
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert max(sizes) < 2 * min(sizes)
