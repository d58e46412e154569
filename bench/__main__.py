"""Compare our registry with Debian's docker-registry: `python -m bench`, or `make bench`.

Both are started on loopback with folders of their own, filled with the same, and driven in turn by the same load.
A run that comes to its end exits with 0 whatever it measured: it is a measurement. See bench/README.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import peers, prepare, report
from bench.compare import Comparison, Plan
from bench.figures import Line
from bench.peers import Ours, Peer, Reference
from bench.rows import ROWS, Row, Stock

RESULTS = Path(__file__).resolve().parent / "results"


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare with Debian's docker-registry.")
    names = ", ".join(row.name for row in ROWS)
    parser.add_argument("--only", type=rows_of, default=ROWS, metavar="ROW,…", help=f"rows to measure: {names}")
    connections = ",".join(map(str, plan.connections))
    parser.add_argument("--connections", type=numbers_of, default=plan.connections, help=f"default: {connections}")
    parser.add_argument("--rounds", type=int, default=plan.rounds, help=f"best of so many (default: {plan.rounds})")
    parser.add_argument("--seconds", type=float, default=plan.seconds, help=f"of a round (default: {plan.seconds})")
    parser.add_argument("--ours-only", action="store_true", help="measure without the other registry")
    parser.add_argument("--results", type=Path, help="folder for compare.txt and compare.json (default: none)")
    parser.add_argument("--folder", type=Path, help="where the registries keep their files (default: temporary)")
    return parser.parse_args(arguments)


def rows_of(text: str) -> tuple[Row, ...]:
    """Return the named rows, in the order of the table."""
    names = set(text.split(","))
    unknown = names - {row.name for row in ROWS}
    if unknown:
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(sorted(unknown))}")
    return tuple(row for row in ROWS if row.name in names)


def numbers_of(text: str) -> tuple[int, ...]:
    """Return numbers from 1 to 256 that stand between commas."""
    numbers = tuple(int(word) for word in text.split(","))
    if not all(1 <= number <= 256 for number in numbers):
        raise argparse.ArgumentTypeError("a number of connections is from 1 to 256")
    return numbers


def run(
    folder: Path,
    rows: Sequence[Row],
    plan: Plan,
    stock: Stock,
    kinds: Sequence[Callable[[Path], Peer]] = (Ours, Reference),
) -> tuple[list[Line], str]:
    """Start, fill and measure, print each line when it is there, and return the lines and our database."""
    with ExitStack() as stack:
        started: list[Peer] = []
        for kind in kinds:
            peer = kind(folder / str(len(started)))
            stack.callback(peer.stop)
            started.append(peer)
        for peer in started:
            prepare.fill(peer, stock, {row.needs for row in rows})
        print(report.header(), flush=True)
        lines = []
        for line in Comparison(started, stock, plan).lines(rows):
            print(report.text_of(line), flush=True)
            lines.append(line)
        return lines, started[0].database


def main(arguments: Sequence[str]) -> int:
    """Measure as the command line says."""
    options = options_of(arguments)
    if not options.ours_only and not peers.is_installed():
        sys.exit(f"{peers.PROGRAM} is not installed: apt-get install docker-registry, or measure with --ours-only")
    plan = Plan(options.connections, options.rounds, options.seconds)
    kinds = (Ours,) if options.ours_only else (Ours, Reference)
    with tempfile.TemporaryDirectory(prefix="registry-bench-", dir=options.folder) as folder:
        lines, database = run(Path(folder), options.only, plan, Stock(), kinds)
    print(report.summary(lines))
    if options.results is not None:
        said = report.about(" ".join(("python -m bench", *arguments)), database=database)
        report.write(options.results, said, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
