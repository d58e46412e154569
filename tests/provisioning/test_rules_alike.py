"""Rules with the same subject and pattern, which their keys tell apart by a number alone."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from acl.models import Rule
from configuration import load
from configuration.values import RuleEntry
from provisioning import importing, precedence
from provisioning.export import yaml_text
from provisioning.models import ImportedEntry
from provisioning.sections.section_import import fingerprint

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


WITH_ALL = (
    '  - {account: developer, name: "${group}/*", actions: [push], deny: true, tags: "v*", '
    'networks: ["2001:db8::/32", "10.0.0.0/8"], until: 2030-12-31, comment: why}\n'
)


def test_conditions_are_imported_exported_and_imported_again(imported: Import) -> None:
    imported(PULL + WITH_ALL)
    rule = Rule.objects.get(is_deny=True)

    exported = yaml.safe_load(yaml_text(with_hashes=False))["acl"]

    assert (rule.tags, rule.networks, rule.until) == (
        "v*",
        "10.0.0.0/8,2001:db8::/32",
        datetime(2031, 1, 1, tzinfo=UTC),
    )
    assert exported[1] == {
        "account": "developer",
        "name": "${group}/*",
        "actions": ["push"],
        "deny": True,
        "tags": "v*",
        "networks": ["10.0.0.0/8", "2001:db8::/32"],
        "until": "2030-12-31",
        "comment": "why",
    }
    assert imported("".join(f"  - {json.dumps(entry)}\n" for entry in exported)) == []


def test_each_condition_is_a_change(imported: Import) -> None:
    imported(PUSH)
    for condition in ("deny: true", 'tags: "v*"', "networks: [10.0.0.0/8]", "until: 2030-12-31", "order: 7"):
        done = imported(PUSH.replace("}", f", {condition}}}"))

        assert len(done) == 1
        assert done[0].startswith("~ rule"), condition
    assert imported(PUSH.replace("}", ", order: 7}")) == []
    assert yaml.safe_load(yaml_text(with_hashes=False))["acl"][0]["order"] == 7


def test_a_broken_rule_with_an_order_denies_in_the_exported_file() -> None:
    Rule.objects.bulk_create([Rule(subject="developer", name="A", actions="pull", order=7)])

    exported = yaml.safe_load(yaml_text(with_hashes=False))["acl"]

    assert exported == [{"account": "developer", "name": "*", "actions": ["*"], "deny": True}]


def test_rules_that_differ_in_a_condition_are_two(imported: Import) -> None:
    imported(PUSH + PUSH.replace("}", ", deny: true}"))

    assert Rule.objects.count() == 2


def test_a_rule_without_conditions_has_the_fingerprint_of_earlier_versions(imported: Import) -> None:
    imported(PULL)

    record = ImportedEntry.objects.get()
    assert record.fingerprint == fingerprint(["pull", ""])
    assert record.row_fingerprint == fingerprint(["account", "developer", "myorg/*", "pull", ""])


def test_a_file_without_conditions_has_the_fingerprint_of_earlier_versions() -> None:
    entry = RuleEntry("account", "developer", "myorg/*", ("pull",), line=3)
    before = {"subject_kind": "account", "subject": "developer", "name": "myorg/*", "actions": ["pull"], "comment": ""}

    assert precedence._entries([entry]) == [fingerprint(before)]
