"""Let everything happen at once for long: `python -m bench.soak [--minutes 30] [--seed N] [--results FOLDER]`.

Honest clients push, pull, mount, delete, list and log in; slow and hostile ones come from another address; garbage is
collected, rights change, the configuration is read anew, workers and the whole server end and start. Every answer that
is not 2xx needs a reason; in 20 minutes or more, memory, descriptors, threads and rows may not grow all through the
second half; then `manage.py fsck --deep`. REGISTRY_DATABASE_URL names a PostgreSQL to do it on. Exit status 1:
something was wrong.
"""

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

from bench.soak.run import lines, run, soaked


def main() -> int:
    """Run as the command line says, print the summary, and return the exit status."""
    parser = argparse.ArgumentParser(description="Let everything happen at once, and explain every answer.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--results", type=Path, help="the folder in which soak.txt is written or gets longer")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="registry-soak-") as folder, soaked(Path(folder), options.seed) as world:
        database = "SQLite" if world.server.database_url.startswith("sqlite") else "PostgreSQL"
        head = f"{options.minutes:g} minutes on {database}, seed {options.seed}"
        print(head, flush=True)
        outcome = run(world, options.minutes * 60)
    summary = "\n".join(lines(outcome))
    print(summary)
    if options.results:
        with (options.results / "soak.txt").open("a") as file:
            file.write(f"$ python -m bench.soak --minutes {options.minutes:g}\n{head}\n{summary}\n\n")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
