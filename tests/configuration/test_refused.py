"""What is refused, with every line of the answer: the table is `fixtures/configurations/refused.txt`."""

from pathlib import Path

import pytest

from tests.configuration.conftest import Refuser

TABLE = Path(__file__).parents[2] / "fixtures" / "configurations" / "refused.txt"


def cases() -> list[tuple[str, list[str]]]:
    """Return each text of the table with the problems it has."""
    blocks = [block for block in TABLE.read_text().strip().split("\n\n") if not block.startswith("#")]
    return [(lines[0], lines[1:]) for lines in (block.split("\n=> ") for block in blocks)]


@pytest.mark.parametrize(("text", "expected"), cases())
def test_what_is_wrong_is_told_with_its_place(problems: Refuser, text: str, expected: list[str]) -> None:
    assert problems(text) == [f"config.yaml:{line}" for line in expected]
