"""What `make lint` looks at: ruff and bandit leave nothing to each other."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from registry_project import BASE_DIR

PROGRAMS = Path(sys.executable).parent


def test_bandit_checks_whatever_ruff_does_not() -> None:
    rules = json.loads(subprocess.check_output([PROGRAMS / "ruff", "rule", "--all", "--output-format=json"]))
    by_ruff = {f"B{rule['code'][1:]}" for rule in rules if rule["linter"] == "flake8-bandit"}
    by_bandit = set(
        re.findall(r"^\s+(B\d+)\s", subprocess.check_output([PROGRAMS / "bandit", "-h"], text=True), re.MULTILINE)
    )

    configured = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["tool"]
    assert "S" in configured["ruff"]["lint"]["select"]
    assert set(configured["bandit"]["tests"]) == by_bandit - by_ruff
