"""Stress a server for long: `python -m bench.stress [--seconds 600] [--seed N]`.

Everybody pushes, mounts, moves tags, deletes and reads at once, while collectors spin and are killed, with a grace
period of seconds and with none, by turns of a minute. Then everything is checked. REGISTRY_DATABASE_URL names a
PostgreSQL to do it on (`python -m tests.postgresql python -m bench.stress`). Exit status 1: something was wrong.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.stress.stress import run, stressed
from tests.stress.verdict import wrongs


def main() -> int:
    """Run as the command line says, print every count, and return the exit status."""
    parser = argparse.ArgumentParser(description="Stress a server beside spinning collectors.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"{options.seconds:.0f} seconds, seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="registry-stress-") as folder,
        stressed(Path(folder), options.seed) as world,
    ):
        run(world, options.seconds)
        print(f"on {'SQLite' if world.is_sqlite else 'PostgreSQL'}")
    print("\n".join(world.tally.lines()))
    found = wrongs(world.tally)
    print("\n".join(["WRONG", *found]) if found else "all as it should be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
