"""The file named on a command line."""

from pathlib import Path

import pytest

from startup.command_line import configuration_named_in


@pytest.mark.parametrize(
    "line",
    [
        "loadconfig FILE",
        "loadconfig --check FILE",
        "loadconfig FILE --check",
        "loadconfig -v 2 FILE",
        "loadconfig -v2 FILE",
        "loadconfig --verbosity 2 --no-color FILE --traceback",
        "loadconfig --settings other FILE",
        "loadconfig --settings=other --pythonpath . FILE",
        "loadconfig --check -- FILE",
        "gc --config FILE",
        "gc --config=FILE",
        "gc --conf FILE",
        "gc --dry-run --grace-period 1h --config FILE",
        "migrate accounts --config FILE",
    ],
)
def test_the_file_is_found_wherever_it_stands(tmp_path: Path, line: str) -> None:
    assert configuration_named_in(["manage.py", *line.split()]) == str(tmp_path / "FILE")


def test_an_absolute_path_stays() -> None:
    assert configuration_named_in(["manage.py", "loadconfig", "/etc/x.yaml"]) == "/etc/x.yaml"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "migrate",
        "migrate accounts",
        "gc --grace-period 1h",
        "gc --config",
        "loadconfig",
        "loadconfig --check",
        "loadconfig -v 2",
        "loadconfig --settings other",
        "loadconfig --settings",
        "help loadconfig",
        "--help",
    ],
)
def test_no_file_is_named(line: str) -> None:
    assert configuration_named_in(["manage.py", *line.split()]) is None
