"""What a missing client program means: left out and counted by `make test`, a failure for `make clients`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.server import ROOT


def run_without_podman(folder: Path, required: str) -> subprocess.CompletedProcess[str]:
    """Run one test that needs podman where no program is installed."""
    test = "tests/clients/test_podman.py::test_the_right_password_logs_in"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        env=os.environ | {"PATH": str(folder), "REGISTRY_REQUIRE_CLIENTS": required},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_test_whose_program_is_missing_is_left_out_and_counted(tmp_path: Path) -> None:
    done = run_without_podman(tmp_path, required="")

    assert "1 client test left out: podman is not installed (make clients needs it)" in done.stdout
    assert done.returncode == pytest.ExitCode.OK


def test_a_missing_program_fails_where_clients_are_required(tmp_path: Path) -> None:
    done = run_without_podman(tmp_path, required="1")

    assert "not installed: podman" in done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
