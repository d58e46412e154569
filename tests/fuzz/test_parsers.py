"""The inputs that `make fuzz-parsers` starts from, and those that it found."""

import pytest

from tests.fuzz.coverage_guided import kept_inputs
from tests.fuzz.parsers import PARSERS


@pytest.mark.parametrize(
    ("parser", "data"), [pytest.param(*kept, id=f"{kept[0]}{number}") for number, kept in enumerate(kept_inputs())]
)
def test_what_is_claimed_of_a_parser_holds(parser: str, data: bytes) -> None:
    PARSERS[parser](data)


def test_each_parser_has_an_input_to_start_from() -> None:
    assert {parser for parser, _ in kept_inputs()} == set(PARSERS)
