"""The commands of docs/storage.md about another storage, as they stand there; only paths are those of the test."""

import re
import subprocess
import sys

import yaml

from tests.clients.server import ROOT
from tests.documents import block
from tests.storage_copy.conftest import Folder, MovingPlace

DOCUMENT = "docs/storage.md"


def test_the_storage_is_copied_as_typed(source: MovingPlace, target: Folder) -> None:
    typed = re.sub(r"\.venv/bin/python manage\.py", f"{sys.executable} {ROOT}/manage.py", block(DOCUMENT, "runs: move"))
    (source.folder / "new.yaml").write_text(yaml.safe_dump({"storage": target.storage}))

    said = subprocess.run(
        ["sh", "-eux", "-c", typed],
        cwd=source.folder,
        env=source.environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "complete: switch storage in" in said
    assert target.contents() == source.contents()
