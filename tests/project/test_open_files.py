"""A start raises the soft limit of open files to the hard limit."""

import resource
import subprocess
import sys

from tests.clients.server import ROOT

SHOW = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"


def run_with_limits(soft: int, hard: int, code: str) -> list[int]:
    """Run `code` in a process with these limits and return the numbers that it prints."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
    command = [sys.executable, "-c", limit + code]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return [int(word) for word in ran.stdout.split()]


def test_the_soft_limit_becomes_the_hard_one() -> None:
    code = f"from startup import prepare; prepare.raise_open_file_limit()\n{SHOW}"

    assert run_with_limits(100, 200, code) == [200, 200]


def test_an_unlimited_soft_limit_stays() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = f"from startup import prepare; prepare.raise_open_file_limit()\n{SHOW}"

    assert run_with_limits(hard, hard, code) == [hard, hard]
