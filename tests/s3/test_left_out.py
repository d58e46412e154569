"""The list of tests that a run on S3 leaves out."""

import re
from pathlib import Path

import pytest

from tests.left_out import OF_FILES

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", [name for names in OF_FILES.values() for name in names])
def test_every_name_is_that_of_a_test(name: str) -> None:
    path, _, function = name.partition("::")
    beginning = function.partition("[")[0]

    assert (TESTS / path).exists()
    assert re.search(rf"^def {beginning}", (TESTS / path).read_text() if function else "def ", re.MULTILINE)
