"""Rules with the same subject and pattern, which their keys tell apart by a number alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from acl.models import Rule
from configuration import load
from provisioning import importing

pytestmark = pytest.mark.django_db

PULL = '  - {account: developer, name: "myorg/*", actions: [pull]}\n'
PUSH = '  - {account: developer, name: "myorg/*", actions: [push]}\n'

Import = Callable[[str], list[str]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import rules and return what was done."""
    path = tmp_path / "config.yaml"

    def run(rules: str) -> list[str]:
        path.write_text(f"acl:\n{rules}")
        return list(map(str, importing.apply(load(path)).steps))

    return run


def test_what_an_administrator_edits_survives_when_the_rule_before_it_leaves(imported: Import) -> None:
    imported(PULL + PUSH)
    Rule.objects.filter(actions="push").update(actions="delete")

    done = imported(PUSH)

    assert done == ["- rule developer may pull myorg/*"]
    assert Rule.objects.get().actions == "delete"


def test_another_order_changes_nothing(imported: Import) -> None:
    imported(PULL + PUSH)

    assert imported(PUSH + PULL) == []


def test_one_that_is_new_is_added_beside_the_one_that_stayed(imported: Import) -> None:
    imported(PULL + PUSH)
    imported(PUSH)

    assert imported(PULL + PUSH) == ["+ rule developer may pull myorg/*"]
    assert sorted(Rule.objects.values_list("actions", flat=True)) == ["pull", "push"]
