"""The locks match what people edit, and a lock that does not is found out."""

import re
from pathlib import Path

import pytest

from registry_project import BASE_DIR
from supply import lock

SUM = "--hash=sha256:" + "a" * 64


@pytest.mark.parametrize("name", ["requirements", "requirements-traces", "requirements-dev"])
def test_the_lock_is_that_of_its_input(name: str) -> None:
    assert lock.differences(BASE_DIR / f"{name}.in", BASE_DIR / f"{name}.txt") == [], "run `make lock`"


@pytest.mark.parametrize("larger", ["requirements-traces.txt", "requirements-dev.txt"])
@pytest.mark.parametrize("smaller", ["requirements.txt", "requirements-traces.txt"])
def test_what_runs_is_the_same_in_every_lock(smaller: str, larger: str) -> None:
    pins = {
        name: {(pin.name, pin.version, pin.hashes) for pin in lock.read(BASE_DIR / name)} for name in (smaller, larger)
    }

    assert pins[smaller] <= pins[larger]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-traces.txt", "requirements-dev.txt"])
def test_nothing_is_built_while_it_is_installed(name: str) -> None:
    assert "\n--only-binary :all:\n" in (BASE_DIR / name).read_text()


def test_make_installs_only_what_has_a_known_hash() -> None:
    installs = re.findall(r"pip install (.+)$", (BASE_DIR / "Makefile").read_text(), re.MULTILINE)

    assert len(installs) == 2
    assert all("--require-hashes" in words for words in installs)


@pytest.mark.parametrize(
    ("source", "locked", "difference"),
    [
        ("a==1\n", "", "a==1 is asked for, and not locked"),
        ("a==2\n", f"a==1 \\\n    {SUM}\n    # via -r some.in\n", "a==2 is asked for, and not locked"),
        ("a[more]==1\n", f"a==1 \\\n    {SUM}\n    # via -r some.in\n", "a[more]==1 is asked for, and not locked"),
        ("b==1\n", f"b==1 \\\n    {SUM}\n    # via a\n", "b==1 is asked for, and not locked"),
        ("", f"a==1 \\\n    {SUM}\n    # via -r some.in\n", "a is locked, and not asked for any more"),
        ("a\n", "a==1\n    # via -r some.in\n", "a has no hash"),
        (
            "a\n",
            f"a==1 \\\n    {SUM}\n    # via -r some.in\nb>=1 \\\n    {SUM}\n    # via a\n",
            "b>=1 is not an exact release",
        ),
        ("a\n", f"a==1 \\\n    {SUM}\n    # via -r some.in\nb==1 \\\n    {SUM}\n", "nothing asks for b"),
        (
            "a\n",
            f"a==1 \\\n    {SUM}\n    # via -r some.in\nb==1 \\\n    {SUM}\n    # via -c x\n",
            "nothing asks for b",
        ),
    ],
)
def test_a_difference_is_named(source: str, locked: str, difference: str, tmp_path: Path) -> None:
    (tmp_path / "some.in").write_text(source)
    (tmp_path / "some.txt").write_text(locked)

    assert lock.differences(tmp_path / "some.in", tmp_path / "some.txt") == [difference]


def test_all_who_ask_for_a_package_are_read(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(
        f"a==1 \\\n    {SUM}\n    # via\n    #   -r some.in\n    #   -c other.txt\n    #   b\n"
    )

    (pin,) = lock.read(tmp_path / "some.txt")

    assert pin.required_by == ("-r some.in", "b")
