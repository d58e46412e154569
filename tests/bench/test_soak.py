"""A soak of some seconds, and what makes one fail."""

import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.soak.honest import only
from bench.soak.ledger import BUSY, LOST, Ledger
from bench.soak.run import hostile_faults, lines, run, soaked
from bench.soak.samples import BOUNDS, JUDGED_SECONDS, Samples, Series
from bench.soak.trend import Sample, lasting_growth, slope
from bench.soak.world import World

NOTHING = only({})
HALF_AN_HOUR = 30 * 60


def test_a_short_soak_explains_every_answer(tmp_path: Path) -> None:
    with soaked(tmp_path, seed=1) as world:
        outcome = run(world, 4.0, {"readers": 2, "halves": 2, "guessers": 1, "broken": 1})

    assert outcome.faults == []
    assert any("rounds of Puller" in line for line in lines(outcome))


def test_an_answer_that_nothing_explains_is_a_fault() -> None:
    ledger = Ledger()

    ledger.note("GET blobs", 200, time.monotonic(), NOTHING, "")
    ledger.note("GET blobs", 404, time.monotonic(), only({404: "deleted"}), "")
    ledger.note("GET blobs", 500, time.monotonic(), only({404: "deleted"}), "a body")

    assert ledger.faults() == ["GET blobs 500: a body"]
    assert ledger.explained == {"GET blobs 404: deleted": 1}


def test_a_lost_connection_is_explained_by_a_restart_that_it_met_only() -> None:
    ledger, before = Ledger(), time.monotonic()

    ledger.note("GET blobs", LOST, before, NOTHING, "too early")
    with ledger.disturbed("restarted"):
        ledger.note("GET blobs", LOST, before, NOTHING, "met it")

    assert ledger.faults() == ["GET blobs lost: too early"]
    assert ledger.explained == {"GET blobs lost: restarted": 1}


def test_too_many_503_are_a_fault_though_each_is_explained() -> None:
    ledger = Ledger()

    for _ in range(20):
        ledger.note("GET blobs", 503, time.monotonic(), NOTHING, "", may_retry=True)

    assert ledger.explained == {f"GET blobs 503: {BUSY}": 20}
    assert len(ledger.faults()) == 1


def sampled(value_at: Callable[[float], float]) -> list[Sample]:
    """Return the samples of half an hour, with noise, and with a peak every two minutes."""
    chance = random.Random(0)
    peaks = dict.fromkeys(range(0, HALF_AN_HOUR, 120), 60.0)
    return [(at, 200 + value_at(at / 60) + chance.gauss(0, 4) + peaks.get(at, 0)) for at in range(0, HALF_AN_HOUR, 5)]


@pytest.mark.parametrize(
    ("value_at", "is_leak"),
    [
        pytest.param(lambda minute: minute, True, id="leak"),
        pytest.param(lambda minute: 2 * min(minute, 10) + minute, True, id="leak-beside-warm-up"),
        pytest.param(lambda minute: math.floor(minute / 3) * 3, True, id="leak-in-steps"),
        pytest.param(lambda _: 0.0, False, id="level"),
        pytest.param(lambda minute: 90 * (1 - math.exp(-minute / 5)), False, id="caches-fill-up"),
        pytest.param(lambda minute: 4 * min(minute, 17), False, id="filled-after-the-half"),
        pytest.param(lambda minute: 50.0 * (minute > 20), False, id="one-step"),
        pytest.param(lambda minute: 15 * math.sin(minute * 2), False, id="up-and-down"),
        pytest.param(lambda minute: -minute, False, id="shrinking"),
    ],
)
def test_a_leak_grows_all_through_the_second_half(value_at: Callable[[float], float], is_leak: bool) -> None:
    assert (lasting_growth(sampled(value_at), HALF_AN_HOUR) > BOUNDS["own"]) is is_leak


def test_a_peak_moves_no_slope() -> None:
    assert slope([(0, 1), (60, 2), (120, 3), (150, 500), (180, 4), (240, 5)]) == pytest.approx(1)
    assert slope([(5, 7)]) == 0


def samples_of(seconds: float, *series: Series) -> Samples:
    samples = Samples(World.__new__(World), seconds)
    samples.series = {one.name: one for one in series}
    return samples


def test_what_grows_is_a_fault_and_what_is_level_is_none() -> None:
    leak = Series("PSS MiB", 0.5, sampled(lambda minute: minute))
    level = Series("threads", 0.5, sampled(lambda _: 0.0))

    assert [fault[:7] for fault in samples_of(HALF_AN_HOUR, leak, level).faults()] == ["PSS MiB"]


def test_a_soak_in_which_nothing_can_have_settled_is_not_judged() -> None:
    leak = Series("PSS MiB", 0.5, sampled(lambda minute: minute))

    assert samples_of(JUDGED_SECONDS - 1, leak).faults() == []


@pytest.mark.parametrize("minutes", [range(16, 30), range(28)])
def test_what_was_not_seen_all_through_the_second_half_is_a_fault(minutes: range) -> None:
    worker = Series("own MiB of worker 7", 0.5, [(minute * 60, 100) for minute in minutes])

    assert len(samples_of(HALF_AN_HOUR, worker).faults()) == 1


def test_no_sample_at_all_is_a_fault() -> None:
    assert samples_of(HALF_AN_HOUR).faults() == ["no sample was taken"]


def test_an_answer_to_a_hostile_client_needs_a_reason_too() -> None:
    assert hostile_faults({"halves 408": 5, "broken 400": 2}) == []
    assert hostile_faults({"broken 500": 1}) == ["hostile clients were answered broken 500 (1 times)"]
