"""`python -m bench.walk` finds its way through the tree as it is."""

import re
import subprocess
import sys

from registry_project import BASE_DIR
from tests.project.starting import environment


def test_every_walk_enters_the_product() -> None:
    command = [sys.executable, "-m", "bench.walk"]
    printed = subprocess.check_output(command, cwd=BASE_DIR, env=environment(), text=True, timeout=300)

    rows = re.findall(r"(?m)^(\S.*?) +(\d+) +(\d+)$", printed)
    assert [name for name, files, _ in rows if int(files) > 10] == [
        "token for a password",
        "PATCH blob",
        "PUT manifest",
        "GET manifest by tag",
        "a user from config.yaml (loadconfig)",
        "a deleted tag to freed bytes",
    ]
