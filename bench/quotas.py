"""Compare pushes with a quota with pushes without one: `python -m bench.quotas [--blobs 100000]`.

Two of our servers, as shipped, hold as many blobs, which the quota counts together. On PostgreSQL:
`python -m tests.postgresql python -m bench.quotas`.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import bulk, prepare
from bench.bulk import Size
from bench.compare import Comparison, Plan
from bench.figures import best
from bench.growth import Small
from bench.peers import AsShipped, Ours
from bench.rows import ROWS, Stock

IMAGE_PUSH = next(row for row in ROWS if row.name == "image-push")


class _WithQuota(AsShipped):
    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says, with a quota of everything, which is not reached."""
        quota = {"repositories": "*", "max_size": "1024GiB", "max_tags": 10_000_000}
        return super().configuration() | {"policies": {"quotas": [quota]}}


class Limited(Ours):
    """The server with a quota."""

    kind = _WithQuota


def main() -> None:
    """Print CPU time and median of a push with and without a quota."""
    parser = argparse.ArgumentParser(prog="python -m bench.quotas", description="The cost of a quota.")
    parser.add_argument("--blobs", type=int, default=100_000, help="that the quota counts (100000)")
    parser.add_argument("--connections", default="1,8", help="at once (1,8)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of three rounds (5)")
    options = parser.parse_args()
    size = Size(repositories=max(1, options.blobs // 100), manifests=options.blobs, tags=options.blobs // 10)
    stock = Stock(large_bytes=1 << 20, names=0)
    plan = Plan(tuple(map(int, options.connections.split(","))), rounds=3, seconds=options.seconds)
    with tempfile.TemporaryDirectory(prefix="registry-quotas-") as folder, ExitStack() as stack:
        servers: list[Ours] = []
        for kind in (Limited, Small):
            server = kind(Path(folder) / kind.__name__)
            stack.callback(server.stop)
            servers.append(server)
            prepare.fill(server, stock, ())
            bulk.fill(server.database_url, size, stock.image.layer.digest)
        print(f"{options.blobs} blobs, {servers[0].database}; CPU us and p50 ms of an image push")
        for line in Comparison(servers, stock, plan).lines([IMAGE_PUSH]):
            if line.errors:
                sys.exit(str(line.errors))
            for name, side in (("without", line.theirs), ("with", line.ours)):
                cpu, p50 = 1e6 / best(side, "per_cpu"), min(done.p50_ms for done in side)
                print(f"{line.connections:>3} connections, {name:<8} {cpu:>8.0f} {p50:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
