"""What a collection costs in a large registry: `python -m bench.collection [--blobs 1000000]`.

Makes a database of so many blobs, each linked in one repository and used by one of a tenth as many manifests, of
which some are untagged and due; and the same with a tenth of the total and as many due. On each it runs, in a fresh
process each, a dry run and then a run, and prints their time, peak memory and statements, and how the database reads
what they ask for. REGISTRY_DATABASE_URL names a PostgreSQL to do it there instead of in SQLite. No object is
on the disk: to delete one that is absent is to have deleted it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.registry import Size
from tests.databases import drop_database, empty_database

ROOT = Path(__file__).resolve().parent.parent
SHARE_DUE = 100
BLOBS_A_MANIFEST = 10


def main() -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description="Measure a collection in a large registry.")
    parser.add_argument("--blobs", type=int, default=1_000_000)
    blobs = parser.parse_args().blobs
    due = blobs // BLOBS_A_MANIFEST // SHARE_DUE
    for total in (blobs // 10, blobs):
        with tempfile.TemporaryDirectory(prefix="registry-bench-") as folder:
            database_url = empty_database(Path(folder))
            try:
                size = Size(total, total // BLOBS_A_MANIFEST, due)
                measure(Path(folder), database_url, size, has_plans=total == blobs)
            finally:
                drop_database(database_url)
    return 0


def measure(folder: Path, database_url: str, size: Size, *, has_plans: bool) -> None:
    """Make a registry of this size, then collect in it."""
    configuration = folder / "config.yaml"
    configuration.write_text("storage: {filesystem: {rootdirectory: data}}\n")
    environment = os.environ | {"CONFIG_PATH": str(configuration), "REGISTRY_DATABASE_URL": database_url}
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "bench.registry", *map(str, size)], cwd=ROOT, env=environment, check=True)
    print(
        f"\n{size.blobs} blobs and links, {size.manifests} manifests, {size.due} of them due "
        f"(made in {time.monotonic() - started:.0f} s)",
        flush=True,
    )
    more = ["with plans"] if has_plans else []
    for words in (["nothing"], ["dry-run", *more], ["run", *more], ["run"]):
        subprocess.run([sys.executable, "-m", "bench.collecting", *words], cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
