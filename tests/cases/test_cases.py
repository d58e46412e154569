"""The checks drawn from public bug reports, which lie beside the project (REGISTRY_CASES names another folder).

    protocol/NN-name.py URL ACCOUNT PASSWORD      against a server that may push to bugs/*
    operations/NN-name.py                         start servers of their own from the checkout that SRC names

Each ends with exit status 0 when the registry does what is right.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from django.db import connection

from tests.clients.server import ROOT, Server, password_of, started
from tests.project.starting import environment

CASES = Path(os.environ.get("REGISTRY_CASES") or ROOT.parent / "shared" / "cases")
# One waits 40 seconds with a push that is under way, and starts four servers.
TIMEOUT_SECONDS = 300


def cases(kind: str) -> list[ParameterSet]:
    """Return the scripts of a kind, named as their files."""
    return [pytest.param(path, id=path.stem) for path in sorted((CASES / kind).glob("[0-9]*.py"))]


def assert_right(script: Path, *arguments: str, **more: str) -> None:
    """Run a case; fail with all that it printed."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env=environment(more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a registry for the cases of the protocol."""
    registry = Server(tmp_path_factory.mktemp("cases"))
    with started(registry):
        yield registry


@pytest.mark.parametrize("script", cases("protocol"))
def test_protocol(script: Path, server: Server) -> None:
    assert_right(script, f"http://{server.host}", "admin", password_of("admin"))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="these cases choose their own database, which is SQLite")
@pytest.mark.parametrize("script", cases("operations"))
def test_operations(script: Path) -> None:
    assert_right(script, SRC=str(ROOT))
