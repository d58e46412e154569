"""A list as a parameter of a statement, short or long, on both databases."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.db.statement import Statement
from distribution.models import Repository

pytestmark = pytest.mark.django_db

_NAMES = Statement("SELECT name FROM distribution_repository WHERE name = ANY(%s) ORDER BY name")
_EITHER = Statement("""
SELECT name FROM distribution_repository WHERE (name = ANY(%s) OR id = ANY(%s)) AND name <> %s ORDER BY name
""")


@pytest.fixture(autouse=True)
def rows() -> dict[str, int]:
    """Make twenty repositories and return their primary keys."""
    names = [f"team/{number:02}" for number in range(20)]
    return {name: Repository.objects.create(name=name).pk for name in names}


@pytest.mark.parametrize("length", [0, 1, 2, 3, 16, 17, 20])
def test_a_list_of_any_length_finds_its_members(rows: dict[str, int], length: int) -> None:
    wanted = sorted(rows)[:length]

    assert _NAMES.rows(wanted) == [(name,) for name in wanted]
    assert _NAMES.rows([*wanted, "team/none"]) == [(name,) for name in wanted]


@pytest.mark.parametrize("lengths", [(0, 0), (0, 3), (3, 0), (1, 5), (18, 1), (1, 18)])
def test_two_lists_beside_other_parameters_are_each_their_own(rows: dict[str, int], lengths: tuple[int, int]) -> None:
    names = sorted(rows)
    by_name, by_key = names[: lengths[0]], names[20 - lengths[1] :]

    found = _EITHER.rows(by_name, [rows[name] for name in by_key], "team/19")

    assert found == [(name,) for name in sorted({*by_name, *by_key} - {"team/19"})]


def test_a_list_is_found_where_every_statement_is_observed(rows: dict[str, int]) -> None:
    wanted = sorted(rows)[:3]

    with CaptureQueriesContext(connection) as queries:
        found = _NAMES.rows(wanted)

    assert found == [(name,) for name in wanted]
    assert len(queries) == 1
