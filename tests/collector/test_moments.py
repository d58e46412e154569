"""Moments are a dictionary that needs less memory."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.dry_run.pk_times import Moments

_NUMBERS = st.one_of(st.integers(0, 100), st.integers(0, 1 << 62))


@given(st.dictionaries(_NUMBERS, st.integers(1, 1 << 62)), _NUMBERS)
def test_moments_are_a_dictionary(wanted: dict[int, int], other: int) -> None:
    moments = Moments()
    for number, moment in wanted.items():
        moments.put(number, moment)

    assert {number: moments[number] for number in wanted} == wanted
    assert moments[other] == wanted.get(other, 0)


@pytest.mark.parametrize(("step", "most"), [(1, 50), (1000, 250)])
def test_a_moment_takes_few_bytes_however_sparse_they_are(step: int, most: int) -> None:
    count = 5000
    tracemalloc.start()
    moments = Moments()
    for number in range(0, count * step, step):
        moments.put(number, 1 << 60)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert size / count < most
