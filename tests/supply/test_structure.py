"""What `make arch` refuses besides imports."""

import pytest

from supply.structure import LEAST_MEDIAN, LINES_A_FILE, MODULES_A_FOLDER, faults

GOOD = "def f():\n" + "    pass\n" * 10
TINY = "def f():\n    pass\n"
DECORATED = "@property\ndef f():\n    pass\ndef __str__():\n    pass\n"
LONG = "def f():\n" + "    pass\n" * 40


def modules(count: int) -> dict[str, str]:
    """Return so many modules of one folder."""
    return {f"app/m{number}.py": GOOD for number in range(count)}


def test_what_keeps_every_bound_is_no_fault() -> None:
    assert list(faults(modules(MODULES_A_FOLDER) | {"app/__init__.py": ""})) == []


def test_short_functions_that_a_framework_asks_for_are_not_counted() -> None:
    assert not list(faults({"a.py": DECORATED, "b.py": DECORATED, "c.py": GOOD, "d.py": GOOD}))


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        pytest.param(
            modules(MODULES_A_FOLDER + 1),
            f"app: {MODULES_A_FOLDER + 1} modules, at most {MODULES_A_FOLDER}",
            id="folder",
        ),
        pytest.param(
            modules(2) | {"app/long.py": "\n" * (LINES_A_FILE + 1)}, "app/long.py: 401 lines, at most 400", id="file"
        ),
        pytest.param({"a.py": TINY, "b.py": TINY}, f"median function: 2 lines, at least {LEAST_MEDIAN}", id="median"),
        pytest.param(
            {"a.py": GOOD, "b.py": LONG}, "90th percentile of functions: 62 lines, at most 30", id="90th percentile"
        ),
    ],
)
def test_a_broken_bound_is_named(sources: dict[str, str], fault: str) -> None:
    assert list(faults(sources)) == [fault]
