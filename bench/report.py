"""The table of a comparison, as text and as JSON."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Line, Round, best, fastest


@dataclass(frozen=True, slots=True)
class Column:
    """A column: two lines of heading, its width, and what stands in it."""

    group: str
    title: str
    width: int
    cell: Callable[[Line], str]


def header() -> str:
    """Return the two lines above the table; a group stands where its first column begins."""
    titles = "  ".join(_fit(column.title, column) for column in COLUMNS)
    groups, place = "", 0
    for column in COLUMNS:
        if column.group:
            groups = f"{groups:<{place}}{column.group}"
        place += column.width + 2
    return f"{groups}\n{titles}"


def text_of(line: Line) -> str:
    """Return a line of the table, and below it the errors and what else has to be said."""
    cells = "  ".join(_fit(column.cell(line), column) for column in COLUMNS).rstrip()
    errors = [f"    {count} x {error}" for error, count in line.errors.items()]
    reconnects = sum(done.reconnects for done in (*line.ours, *line.theirs))
    notes = [f"    {reconnects} connections were closed by a server and opened again"] if reconnects else []
    return "\n".join([cells, *errors, *notes])


def _fit(text: str, column: Column) -> str:
    return f"{text:<{column.width}}" if column is COLUMNS[0] else f"{text:>{column.width}}"


def _budget(line: Line) -> str:
    if line.least:
        return f"{line.least:g}/s"
    return f"{line.ratio:g}" if line.ratio else ""


def _figure(number: float) -> str:
    """Return a number with three digits that count, a dash for nothing."""
    if not number:
        return "-"
    digits = 0 if number >= 100 else 1 if number >= 10 else 2
    return f"{number:.{digits}f}"


def _fastest(rounds: list[Round], figure: str) -> str:
    return _figure(getattr(fastest(rounds), figure)) if rounds else "-"


def _mebibytes(rounds: list[Round]) -> str:
    return _figure(best(rounds, "peak_resident") / 2**20)


def _generator(line: Line) -> str:
    return f"{100 * max(best(line.ours, 'generator_share'), best(line.theirs, 'generator_share')):.0f} %"


COLUMNS = (
    Column("", "row", 20, lambda line: line.row),
    Column("", "conn", 4, lambda line: str(line.connections)),
    Column("per second", "ours", 6, lambda line: _figure(best(line.ours, "rate"))),
    Column("", "theirs", 6, lambda line: _figure(best(line.theirs, "rate"))),
    Column("", "ratio", 5, lambda line: _figure(line.wall_ratio)),
    Column("per CPU-second", "ours", 6, lambda line: _figure(best(line.ours, "per_cpu"))),
    Column("", "theirs", 6, lambda line: _figure(best(line.theirs, "per_cpu"))),
    Column("", "ratio", 5, lambda line: _figure(line.cpu_ratio)),
    Column("", "budget", 6, _budget),
    Column("", "", 6, lambda line: line.verdict),
    Column("p50 in ms", "ours", 6, lambda line: _fastest(line.ours, "p50_ms")),
    Column("", "theirs", 6, lambda line: _fastest(line.theirs, "p50_ms")),
    Column("p99 in ms", "ours", 6, lambda line: _fastest(line.ours, "p99_ms")),
    Column("", "theirs", 6, lambda line: _fastest(line.theirs, "p99_ms")),
    Column("peak MiB", "ours", 5, lambda line: _mebibytes(line.ours)),
    Column("", "theirs", 6, lambda line: _mebibytes(line.theirs)),
    Column("generator", "", 9, _generator),
)


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
    (folder / "compare.txt").write_text("\n".join([*head, "", header(), *table, "", summary(lines)]) + "\n")
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
