"""Compare a large registry with a small one: `python -m bench.growth`. Exit status 1: something got too slow.

Two of our servers, as shipped, are driven in turn by the same load: one with a few hundred repositories, manifests
and tags, one with as many as the options say. On PostgreSQL: `python -m tests.postgresql python -m bench.growth`.
The plans of the same requests on the large one stand below.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import bulk, prepare, rows
from bench.bulk import Size
from bench.compare import Comparison, Plan
from bench.figures import Line, Round, best
from bench.load import Begin
from bench.peers import Ours
from bench.rows import Build, Row, Stock, always
from bench.target import PULL, REPOSITORY, Target, holds

ROOT = Path(__file__).resolve().parents[1]
PAGE = 100
SMALL = Size(repositories=300, manifests=900, tags=300)
LIMIT = 1.5
CATALOG = "registry:catalog:*"
READ = ("manifest-get-tag", "manifest-get-digest", "blob-head", "blob-get")


class Small(Ours):
    """The server that the large one is measured against."""

    name = "theirs"


def places(count: int) -> dict[str, int]:
    """Return after which of `count` names a page begins."""
    return {"first": 0, "middle": count // 2, "last": count - PAGE - 1}


def tags_path(size: Size, place: str) -> str:
    """Return the address of a page of tags."""
    return f"/v2/{REPOSITORY}/tags/list?n={PAGE}&last={bulk.tag_name(places(size.tags)[place])}"


def catalog_path(size: Size, place: str) -> str:
    """Return the address of a page of repositories."""
    return f"/v2/_catalog?n={PAGE}&last={bulk.repository_name(places(size.repositories)[place])}"


def pages(large: Size) -> Iterator[Row]:
    """Yield a row for each page."""
    for place in places(0):
        yield Row(f"tags-{place}", _page(partial(tags_path, place=place), PULL, "tags", large))
    for place in places(0):
        yield Row(f"catalog-{place}", _page(partial(catalog_path, place=place), CATALOG, "repositories", large))


def _page(path: Callable[[Size], str], scope: str, key: str, large: Size) -> Build:
    def build(target: Target, _stock: Stock) -> Begin:
        address = path(SMALL if isinstance(target.peer, Small) else large)
        authorization = target.peer.authorization(scope)
        return always(target.request("GET", address, authorization, check=holds(key, PAGE)))

    return build


def slower(line: Line) -> tuple[float, float]:
    """Return how many times as much CPU, and as much time, a request takes on the large one."""
    p50s = [min(done.p50_ms for done in side) if side else 0.0 for side in (line.ours, line.theirs)]
    return best(line.theirs, "per_cpu") / best(line.ours, "per_cpu"), p50s[0] / p50s[1]


def text_of(line: Line) -> str:
    """Return a line of the table, and the errors below it."""
    if line.errors:
        return "\n".join([f"{line.row:<20} FAILED", *(f"    {n} x {error}" for error, n in line.errors.items())])
    cells = [
        f"{line.row:<20}",
        *(f"{_cpu(side):>8.0f}" for side in (line.theirs, line.ours)),
        f"{slower(line)[0]:>6.2f}",
        *(f"{min(done.p50_ms for done in side):>8.2f}" for side in (line.theirs, line.ours)),
        f"{slower(line)[1]:>6.2f}",
        "" if is_flat(line) else "TOO SLOW",
    ]
    return " ".join(cells).rstrip()


def _cpu(side: list[Round]) -> float:
    """Return the CPU time of a request in microseconds."""
    return 1e6 / best(side, "per_cpu")


def is_flat(line: Line) -> bool:
    """Tell whether the large one takes at most LIMIT times as much."""
    return not line.errors and max(slower(line)) <= LIMIT


HEADER = f"{'':<20} {'CPU us':<24} {'p50 ms':<24}\n{'':<20}    small    large  ratio    small    large  ratio"


def run(folder: Path, large: Size, plan: Plan) -> tuple[list[Line], int]:
    """Measure, print, and return the lines and the exit status of the plans."""
    stock = Stock(large_bytes=1 << 20, names=0)
    with ExitStack() as stack:
        servers: list[Ours] = []
        for kind, size in ((Ours, large), (Small, SMALL)):
            server = kind(folder / kind.__name__)
            stack.callback(server.stop)
            servers.append(server)
            prepare.fill(server, stock, ())
            bulk.fill(server.database_url, size, stock.image.layer.digest)
        print(f"{large.repositories} repositories, {large.manifests} manifests, {large.tags} tags in one of them")
        print(HEADER, flush=True)
        measured = []
        known = [row for row in rows.ROWS if row.name in READ]
        for line in Comparison(servers, stock, plan).lines([*known, *pages(large)]):
            print(text_of(line), flush=True)
            measured.append(line)
        return measured, show_plans(servers[0], large, stock)


def show_plans(server: Ours, large: Size, stock: Stock) -> int:
    """Print the plans of the requests that were measured."""
    image = stock.image
    read = [f"manifests/{rows.TAG}", f"manifests/{image.digest}", f"blobs/{image.layer.digest}"]
    paths = [*(f"/v2/{REPOSITORY}/{path}" for path in read), tags_path(large, "middle"), catalog_path(large, "middle")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "DJANGO_"))}
    environment |= {"CONFIG_PATH": str(server.configuration_file)}
    environment |= {"BENCH_AUTHORIZATION": server.authorization(f"{PULL} {CATALOG}").partition(": ")[2].strip()}
    command = [sys.executable, "-m", "bench.request_plans", *paths]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description="Compare a large registry with a small."
    )
    parser.add_argument("--repositories", type=int, default=10_000)
    parser.add_argument("--manifests", type=int, default=1_000_000)
    parser.add_argument("--tags", type=int, default=100_000, help="of one repository")
    parser.add_argument("--rounds", type=int, default=5, help="best of so many (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round (default: 1)")
    options = parser.parse_args(arguments)
    large = Size(options.repositories, options.manifests, options.tags)
    with tempfile.TemporaryDirectory(prefix="registry-growth-") as folder:
        lines, status = run(Path(folder), large, Plan((4,), options.rounds, options.seconds))
    is_good = all(is_flat(line) for line in lines) and not status
    print(f"{'within' if is_good else 'NOT WITHIN'} {LIMIT} times of the small case")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
