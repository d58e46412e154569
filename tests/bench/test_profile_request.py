"""Stages have the instructions of their own functions, less those of the stages that they call and of the wrappers."""

from bench.profile_request import STAGES, instructions, table
from bench.profiled_server import CALIBRATION, CALIBRATIONS, POOL, ROOT


def _name(caller: str, stage: str) -> str:
    return f"stage_{STAGES.index(caller)}_{STAGES.index(stage)}"


def _counts(empty: int, around: int) -> str:
    """Return a file of two requests: 3,000 in the pool, 1,000 in the worker around 500 of the head."""
    calibration, calls = CALIBRATIONS * (empty + around), CALIBRATIONS
    functions = [
        (1, _name(POOL, CALIBRATION), [(9, 1, calibration)]),
        (2, _name(CALIBRATION, ROOT), [(9, calls, CALIBRATIONS * empty)]),
        (3, _name(POOL, ROOT), [(9, 2, 2 * (1000 + 500 + 2 * empty + around))]),
        (4, _name(ROOT, "head: parse"), [(9, 2, 2 * (500 + empty))]),
    ]
    lines = ["fn=(9) PyObject_Call", "0 7", "fn=(8) ffi_call"]
    for number, name, arcs in functions:
        lines += [f"cfn=({number}) {name}", f"calls={arcs[0][1]} 0", f"0 {arcs[0][2]}"]
    for number, _, arcs in functions:
        lines += [f"fn=({number})", *(f"cfn=({called})\ncalls={count} 0\n0 {cost}" for called, count, cost in arcs)]
    total = calibration + 2 * (3000 + 1000 + 500 + 2 * empty + 2 * around)
    return "\n".join([*lines, f"totals: {total}"])


def test_a_stage_has_its_own_instructions() -> None:
    found = instructions(_counts(empty=0, around=0), 2)

    assert {stage: count for stage, count in found.items() if count} == {POOL: 3000, ROOT: 1000, "head: parse": 500}


def test_the_instructions_of_the_wrappers_do_not_count() -> None:
    found = instructions(_counts(empty=40, around=60), 2)

    assert {stage: count for stage, count in found.items() if count} == {POOL: 3000, ROOT: 1000, "head: parse": 500}


def test_the_table_has_thousands_and_parts() -> None:
    text = table({"blob-head": {ROOT: 3000.0, "head: parse": 1000.0}})

    assert "| head: parse | 1 (25%) |" in text
    assert text.endswith("| all | 4 |")
