"""Collect once and print what it cost: `python -m bench.collecting nothing|dry-run|run [plans]`, with CONFIG_PATH.

With "plans" it says which statements are asked and how the database reads them, and takes more time for that.
"""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from pathlib import Path
from typing import Any

from bench.django_process import load
from bench.plans import plan_of


class Statements:
    """Counts statements, and keeps one of each kind with its parameters."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.example: dict[str, Any] = {}

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Let the statement through."""
        kind = kind_of(sql)
        self.count[kind] += 1
        self.example.setdefault(kind, (sql, params))
        return execute(sql, params, many, context)

    def listening(self) -> AbstractContextManager[None]:
        """Count what the block does."""
        from django.db import connection

        return connection.execute_wrapper(self)


def kind_of(sql: str) -> str:
    """Return the statement with its lists of values made short, and without the name of its cursor."""
    sql = re.sub(r"^DECLARE .*? FOR ", "", sql.strip())
    return re.sub(r"\(%s(, %s)+\)", "(…)", sql)


def peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Do what the command line says."""
    load()
    act = {"nothing": nothing, "dry-run": dry_run, "run": run}[sys.argv[1]]
    statements, has_plans = Statements(), len(sys.argv) > 2
    began, began_cpu = time.monotonic(), time.process_time()
    # Listening to what is asked sends it through Django's cursors, which `Statement` goes without.
    with statements.listening() if has_plans else nullcontext():
        said = act()
    seconds, cpu = time.monotonic() - began, time.process_time() - began_cpu
    peak = peak_bytes() / 1e6
    print(
        f"{sys.argv[1]:<8} {seconds:8.2f} s, {cpu:6.2f} s of CPU, {peak:6.1f} MB at most"
        + (f", {statements.count.total():>6} statements" if has_plans else "")
        + said,
        flush=True,
    )
    if has_plans:
        print("\n".join(plans(statements)))


def nothing() -> str:
    """Ask the database something."""
    from core.db import clock

    clock.now()
    return ""


def dry_run() -> str:
    """Find what `manage.py gc --dry-run` says."""
    from collector import collection
    from collector.policy import Policy
    from collector.report import Report

    policy, report = _policy(Policy), Report()
    found = Counter(finding.kind for finding in collection.forecast(policy, report))
    return ": " + ", ".join(f"{number} {kind}s" for kind, number in found.items())


def run() -> str:
    """Do what a run does."""
    from collector import collection
    from collector.policy import Policy
    from collector.report import Report
    from collector.throttle import Throttle

    class TimedThrottle(Throttle):
        """Measures the pauses."""

        paused = 0.0

        def pause(self, started_at: float) -> None:
            """Pause."""
            began = time.monotonic()
            super().pause(started_at)
            self.paused += time.monotonic() - began

    policy, report, throttle = _policy(Policy), Report(), TimedThrottle()
    collection.collect(policy, report, throttle)
    began = time.monotonic()
    collection.count_later_bytes(policy, report)
    later, total = time.monotonic() - began, report.total
    return (
        f": {total.manifests} manifests, {total.links} links, {total.blobs} blobs; "
        f"{throttle.paused:.2f} s of it in pauses, {later:.2f} s for the bytes of later runs"
    )


def _policy(make: Any) -> Any:
    from datetime import timedelta

    return make(timedelta(hours=24), remove_untagged=True)


def plans(statements: Statements) -> Iterator[str]:
    """Say how the database finds what the statements ask for, those alike together."""
    number: Counter[tuple[str, ...]] = Counter()
    for kind, count in statements.count.items():
        if "distribution_" in kind and not kind.startswith("INSERT"):
            number[(kind.split()[0], *plan_of(*statements.example[kind]))] += count
    for (verb, *lines), count in sorted(number.items(), key=itemgetter(1), reverse=True):
        yield f"  {count:>6} x {verb:<6} {lines[0]}"
        yield from (f"{'':>18}{line}" for line in lines[1:])


if __name__ == "__main__":
    main()
