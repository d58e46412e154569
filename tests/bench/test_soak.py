"""A soak of some seconds, and what makes one fail."""

import time
from pathlib import Path

import pytest

from bench.soak.honest import only
from bench.soak.ledger import BUSY, LOST, Ledger
from bench.soak.run import hostile_faults, lines, run, soaked
from bench.soak.samples import COMPARABLE_SECONDS, Samples, Series
from bench.soak.world import World

NOTHING = only({})


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


@pytest.mark.parametrize(("growth", "faults"), [(1.0, 0), (1.05, 0), (3.0, 1)])
def test_what_grows_from_the_second_quarter_to_the_last_is_a_fault(growth: float, faults: int) -> None:
    world: World = World.__new__(World)
    samples = Samples(world, COMPARABLE_SECONDS)
    steps = [(at, 100 * growth ** (at // 60)) for at in map(float, range(0, 240, 5))]
    samples.series = {"PSS MiB": Series("PSS MiB", steps)}

    assert len(samples.faults()) == faults


def test_an_answer_to_a_hostile_client_needs_a_reason_too() -> None:
    assert hostile_faults({"halves 408": 5, "broken 400": 2}) == []
    assert hostile_faults({"broken 500": 1}) == ["hostile clients were answered broken 500 (1 times)"]
