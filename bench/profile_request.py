"""Count the instructions of a small request by stage: `python -m bench.profile_request`.

A server with one worker (SQLite, a temporary folder, loopback) runs under callgrind, with its stages wrapped
(`bench.profiled_server`), while one connection repeats one request. Instructions are those of Python and its libraries,
without the kernel's: they repeat to a percent on a busy machine, where times do not. It needs gcc and valgrind.
"""

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from bench import peers, prepare, profiled_server
from bench.load import Run
from bench.peers import Ours
from bench.profiled_push import IMAGE_REQUESTS, PUSHES, Push
from bench.profiled_server import (
    CALIBRATION,
    CALIBRATIONS,
    LIBRARY,
    POOL,
    REQUESTS,
    ROOT,
    START,
    STATEMENT,
    STATEMENTS,
    WARM_UP,
)
from bench.request import Operation
from bench.rows import ROWS, Row, Stock
from bench.target import Target

SMALL = ("manifest-get-tag", "blob-head", "image-push", "tokens", "tags", "catalog")
IMAGE = next(row for row in ROWS if row.name == "image-push")
STAGES = [
    POOL,
    "head: receive",
    "head: parse",
    "environ",
    ROOT,
    "front door",
    "HttpRequest",
    "resolver",
    "view",
    "login",
    "token: verify",
    "token: issue",
    "rules, scope",
    "domain",
    "disk reserve",
    "body",
    "hash",
    "manifest: parse",
    "storage",
    "transaction",
    "begin, commit",
    STATEMENT,
    *STATEMENTS,
    "response: build",
    "send",
    "access log",
    CALIBRATION,
]
_SOURCE = """
#include <Python.h>
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void end(void) { CALLGRIND_DUMP_STATS; CALLGRIND_STOP_INSTRUMENTATION; }
"""
# ctypes switches stacks on its way in, which hides the first function from callgrind.
_STAGE = """
__attribute__((noinline))
PyObject *stage_{0}_{1}(PyObject *f, PyObject *a, PyObject *k) {{ return PyObject_Call(f, a, k); }}
PyObject *enter_{0}_{1}(PyObject *f, PyObject *a, PyObject *k) {{ return stage_{0}_{1}(f, a, k); }}
"""
_FUNCTION = re.compile(r"(?P<call>c?)fn=\((?P<number>\d+)\)(?: (?P<name>.*))?$")


class _Counted(peers.AsShipped):
    policies: ClassVar[dict[str, object]] = {}

    def command(self) -> list[str]:
        """Return what starts the server; a worker writes its counts into the folder."""
        options = ["--tool=callgrind", "--instr-atstart=no", "--dump-line=no"]
        file = f"--callgrind-out-file={self.folder}/counts.%p"
        return ["valgrind", *options, file, sys.executable, "-m", profiled_server.__name__]

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says, with a single worker and no collector."""
        shipped = super().configuration()
        server = {**shipped["server"], "workers": 1, "limits": {"uploads_per_account": 100_000}}  # type: ignore[dict-item]
        return shipped | {"server": server, "garbage_collector": {"enabled": False}, "policies": self.policies}


class Counted(Ours):
    """The registry under callgrind."""

    kind = _Counted


def build(folder: Path) -> Path:
    """Compile a C function for each pair of a stage and its caller's."""
    source, library = folder / "stages.c", folder / "stages.so"
    pairs = itertools.product(range(len(STAGES)), repeat=2)
    source.write_text(_SOURCE + "".join(_STAGE.format(*pair) for pair in pairs))
    include = sysconfig.get_paths()["include"]
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", f"-I{include}", "-o", str(library), str(source)], check=True)
    return library


def counted(row: Row | Push, requests: int, folder: Path) -> str:
    """Return callgrind's counts of so many operations of `row`."""
    start = folder / "start"
    os.environ |= {LIBRARY: str(build(folder)), REQUESTS: str(requests), START: str(start)}
    stock = Stock(large_bytes=64 * 1024)
    ours = Counted(folder / "ours")
    try:
        prepare.fill(ours, stock, () if isinstance(row, Push) else (row.needs,))
        target, number = Target(ours), WARM_UP + requests
        if isinstance(row, Push):
            operation = row.begin(target, number, partial(_done, ours))
        else:
            operation = row.build(target, stock)
        start.touch()
        rest = itertools.repeat(operation, number)
        _done(ours, filter(None, (begin() for begin in rest)))
    finally:
        ours.stop()
    return next((folder / "ours").glob("counts.*.1")).read_text()


def _done(ours: Ours, operations: Iterable[Operation]) -> None:
    """Send the operations over one connection; exit with the first error."""
    todo = iter(operations)
    load = Run(ours.address, lambda: next(todo, None), connections=1, seconds=600)()
    if load.errors:
        sys.exit(next(iter(load.errors)))


def instructions(counts: str, requests: int) -> dict[str, float]:
    """Return the instructions of each stage in one request, from a file of callgrind's.

    A stage has those of its C functions less those of the C functions that it calls, less the wrappers' own.
    """
    inclusive, calls = _arcs(counts)
    names = dict(enumerate(STAGES))
    arcs = {tuple(names[int(number)] for number in name.split("_")[1:]): name for name in inclusive}
    total = float(re.search(r"^totals: (\d+)", counts, re.MULTILINE)[1])  # type: ignore[index]
    empty = inclusive[arcs[CALIBRATION, ROOT]] / CALIBRATIONS
    around = inclusive[arcs[POOL, CALIBRATION]] / CALIBRATIONS - empty
    found: Counter[str] = Counter({POOL: round(total - inclusive[arcs[POOL, CALIBRATION]])})
    for (caller, stage), name in arcs.items():
        if CALIBRATION in (caller, stage):
            continue
        found[stage] += round(inclusive[name] - calls[name] * empty)
        found[caller] -= round(inclusive[name] + calls[name] * around)
    return {stage: count / requests for stage, count in found.items()}


def _arcs(counts: str) -> tuple[Counter[str], Counter[str]]:
    """Return the inclusive instructions and the calls of each C function of a stage.

    In the file, `fn=(7) name` starts the costs of a function, `cfn=(7)` and `calls=` precede the cost of a call.
    """
    names: dict[str, str] = {}
    inclusive: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    here = called = ""
    for line in counts.splitlines():
        if found := _FUNCTION.match(line):
            name = names.setdefault(found["number"], found["name"] or "")
            here, called = (here, name) if found["call"] else (name, "")
        elif found := re.match(r"calls=(\d+)", line):
            if called.startswith("stage_"):
                calls[called] += int(found[1])
        elif here.startswith("stage_") and (found := re.match(r"[+*\-\d]\S* (\d+)$", line)):
            inclusive[here] += int(found[1])
    return inclusive, calls


def table(found: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table: thousands of instructions of each stage, and its part of all."""
    totals = {row: sum(counts.values()) for row, counts in found.items()}
    lines = [f"| stage | {' | '.join(found)} |", f"|---|{'---:|' * len(found)}"]
    for stage in STAGES:
        cells = [(counts.get(stage, 0.0), totals[row]) for row, counts in found.items()]
        if any(count for count, _ in cells):
            lines.append(f"| {stage} | {' | '.join(f'{c / 1000:.0f} ({c / total:.0%})' for c, total in cells)} |")
    return "\n".join([*lines, f"| all | {' | '.join(f'{total / 1000:.0f}' for total in totals.values())} |"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile_request", description="Count by stage.")
    rows: dict[str, Row | Push] = {row.name: row for row in (*ROWS, *PUSHES) if row.name in SMALL or row in PUSHES}
    parser.add_argument("--requests", type=int, default=100, help="that are counted (100)")
    parser.add_argument("--only", default=",".join(rows), help="rows, with commas between (all)")
    parser.add_argument("--quota", action="store_true", help="with a quota of the whole registry, which is not reached")
    options = parser.parse_args()
    if options.quota:
        _Counted.policies = {"quotas": [{"repositories": "*", "max_size": "1024GiB", "max_tags": 10_000_000}]}
    if missing := [program for program in ("gcc", "valgrind") if shutil.which(program) is None]:
        sys.exit(f"not installed: {' and '.join(missing)}")
    found = {}
    for row in (rows[name] for name in options.only.split(",")):
        with tempfile.TemporaryDirectory(prefix="registry-profile-") as folder:
            # Any so many requests in a row are those of whole images.
            each = IMAGE_REQUESTS if row.name == IMAGE.name else 1
            requests = options.requests * each
            counts = instructions(counted(row, requests, Path(folder)), requests)
            found[row.name] = {stage: count * each for stage, count in counts.items()}
    print(table(found))


if __name__ == "__main__":
    main()
