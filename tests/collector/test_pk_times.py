"""PkTimes are a dictionary that needs less memory."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.dry_run.pk_times import PkTimes

_NUMBERS = st.one_of(st.integers(0, 100), st.integers(0, 1 << 62))


@given(st.dictionaries(_NUMBERS, st.integers(1, 1 << 62)), _NUMBERS)
def test_pk_times_are_a_dictionary(wanted: dict[int, int], other: int) -> None:
    times = PkTimes()
    for number, time in wanted.items():
        times.put(number, time)

    assert {number: times[number] for number in wanted} == wanted
    assert times[other] == wanted.get(other, 0)


@pytest.mark.parametrize(("step", "most"), [(1, 50), (1000, 250)])
def test_a_time_takes_few_bytes_however_sparse_they_are(step: int, most: int) -> None:
    count = 5000
    tracemalloc.start()
    times = PkTimes()
    for number in range(0, count * step, step):
        times.put(number, 1 << 60)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert size / count < most
