"""The configurations in `docs/ci.md` load."""

import re
from pathlib import Path

import pytest

from tests.configuration.conftest import Reader

DOCUMENT = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
EXAMPLES = re.findall(r"(?s)```yaml\n((?:users|auth):.*?)```", DOCUMENT)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_load(read: Reader, example: str) -> None:
    assert read(example).warnings == ()


def test_each_ci_has_one() -> None:
    assert len(EXAMPLES) == 4
