"""The table of a comparison, as text and as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Line, Round, best, fastest

HEADER = (
    "                               per second         x       per CPU-second          x           "
    "p50 / p99 ms               peak MiB     generator\n"
    "row                   conn  ours     theirs    wall    ours     theirs     CPU  budget "
    "          ours           theirs    ours theirs"
)


def text_of(line: Line) -> str:
    """Return a line of the table, and the errors below it."""
    budget, verdict = _budget(line), line.verdict
    cells = [
        f"{line.row:<20} {line.connections:>4}",
        f"{best(line.ours, 'rate'):>8.0f} {best(line.theirs, 'rate'):>8.0f} {_ratio(line.wall_ratio)}",
        f"{best(line.ours, 'per_cpu'):>8.0f} {best(line.theirs, 'per_cpu'):>8.0f} {_ratio(line.cpu_ratio)}",
        f"{budget:>6} {verdict:<6}",
        f"{_latencies(line.ours):>16} {_latencies(line.theirs):>16}",
        f"{best(line.ours, 'peak_resident') / 2**20:>5.0f} {best(line.theirs, 'peak_resident') / 2**20:>5.0f}",
        f"{100 * max(best(line.ours, 'generator_share'), best(line.theirs, 'generator_share')):>4.0f} %",
    ]
    errors = [f"    {count} x {error}" for error, count in line.errors.items()]
    reconnects = sum(done.reconnects for done in (*line.ours, *line.theirs))
    notes = [f"    {reconnects} connections were closed by a server and opened again"] if reconnects else []
    return "\n".join(["  ".join(cells).rstrip(), *errors, *notes])


def _budget(line: Line) -> str:
    if line.least:
        return f"{line.least:g}/s"
    return f"{line.ratio:g}" if line.ratio else ""


def _ratio(ratio: float) -> str:
    return f"{ratio:>6.2f}" if ratio else f"{'-':>6}"


def _latencies(rounds: list[Round]) -> str:
    if not rounds:
        return "-"
    done = fastest(rounds)
    return f"{done.p50_ms:.2f} / {done.p99_ms:.2f}"


def about(command: str, **more: str) -> dict[str, str]:
    """Return when, where and how was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "command": command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {models[0].partition(': ')[2] if models else platform.machine()}",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        **more,
    }


def write(folder: Path, said: dict[str, str], lines: Sequence[Line]) -> None:
    """Write compare.txt and compare.json."""
    folder.mkdir(parents=True, exist_ok=True)
    head = [f"{key}: {value}" for key, value in said.items()]
    table = [text_of(line) for line in lines]
    (folder / "compare.txt").write_text("\n".join([*head, "", HEADER, *table, "", summary(lines)]) + "\n")
    document = {"about": said, "lines": [line.document() for line in lines]}
    (folder / "compare.json").write_text(json.dumps(document, indent=1) + "\n")


def summary(lines: Sequence[Line]) -> str:
    """Return how many lines keep their budget."""
    verdicts = [line.verdict for line in lines if line.verdict]
    counts = [f"{verdicts.count(word)} {word.lower()}" for word in ("met", "MISSED", "FAILED")]
    return f"budgets: {', '.join(counts)}"


def read(file: Path) -> tuple[dict[str, str], list[Line]]:
    """Return what `write` wrote as JSON."""
    document = json.loads(file.read_text())
    return document["about"], [Line.of(line) for line in document["lines"]]
