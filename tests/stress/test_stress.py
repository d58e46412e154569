"""Everybody at once beside spinning collectors: nothing breaks, nothing promised is missing, nothing is left over.

REGISTRY_STRESS_SECONDS says for how long at least (20), REGISTRY_STRESS_SEED repeats a run.
"""

import os
import random
import sys
from pathlib import Path

from tests.stress.stress import run, stressed
from tests.stress.verdict import has_happened, wrongs


def test_nothing_breaks_beside_spinning_collectors(tmp_path: Path) -> None:
    seconds = float(os.environ.get("REGISTRY_STRESS_SECONDS", "20"))
    seed = int(os.environ.get("REGISTRY_STRESS_SEED") or random.randrange(1 << 32))
    sys.stdout.write(f"REGISTRY_STRESS_SEED={seed}\n")

    with stressed(tmp_path, seed) as world:
        run(world, seconds, lambda: has_happened(world.tally))

    sys.stdout.write("\n".join(world.tally.lines()))
    assert wrongs(world.tally) == []
