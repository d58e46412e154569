"""A storage for each test, and a folder to back up into."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.collector.conftest import _own_storage, prepared

__all__ = ["_own_storage", "prepared"]

BackUp = Callable[[], list[str]]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the backup goes; there is nothing yet."""
    return tmp_path_factory.mktemp("backups") / "registry"


@pytest.fixture
def back_up(folder: Path) -> BackUp:
    """Run the command, and return the lines that it prints."""

    def run() -> list[str]:
        output = io.StringIO()
        call_command("backup", str(folder), stdout=output)
        return output.getvalue().splitlines()

    return run
