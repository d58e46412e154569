"""The storage of another registry, and an import of it in this process."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.core.management import CommandError, call_command

from tests.distribution.conftest import disk  # noqa: F401 - a fixture
from tests.registry_copy.source import SourceTree


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    output: str


@pytest.fixture
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceTree:
    return SourceTree(tmp_path_factory.mktemp("source"))


@pytest.fixture
def imported(source: SourceTree) -> Callable[..., Ran]:
    """Import the source: `imported("--verify")`."""

    def run(*words: str, folder: str = "") -> Ran:
        return manage("importregistry", folder or str(source.root), *words)

    return run


def manage(*words: str) -> Ran:
    """Run a command, and return its exit status with all it said."""
    said = io.StringIO()
    try:
        call_command(*words, stdout=said, stderr=said)
    except CommandError as error:
        return Ran(error.returncode, f"{said.getvalue()}{error}")
    return Ran(0, said.getvalue())
