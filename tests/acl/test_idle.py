"""Rules that can do nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from acl.actions import expand
from acl.idle import Candidate, Rules

ACCOUNTS, GROUPS = {"alice", "bob", "ci-1", "Eve"}, {"team", "[x"}


def candidates(*rules: str) -> list[Candidate]:
    """Return `kind subject name actions` as rules, each called by its number."""
    found = []
    for number, (kind, subject, name, actions) in enumerate(map(str.split, rules)):
        about = "" if subject == "-" else subject
        found.append(Candidate(kind, about, name, expand(actions.split(",")), f"rule {number}"))
    return found


def reasons(*rules: str) -> dict[int, str]:
    return dict(Rules(candidates(*rules), ACCOUNTS, GROUPS).reasons())


@pytest.mark.parametrize(
    "rule",
    [
        "account alice a/* pull",
        "account * a/* pull",
        "account ci-* a/* pull",
        "group team a/* pull",
        "group [x a/* pull",
        "anonymous - a/* pull",
        "account alice ${account}/* pull",
        "account * ${account} pull",
    ],
)
def test_a_rule_that_can_do_something(rule: str) -> None:
    assert reasons(rule) == {}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("account charlie a/* pull", "there is no account charlie"),
        ("account Alice a/* pull", "there is no account Alice"),
        ("account dev-* a/* pull", "no account's name matches dev-*"),
        ("group alice a/* pull", "there is no group alice"),
        ("group te* a/* pull", "there is no group te*"),
        ("account alice /x pull", "no repository can be called /x"),
        ("account alice x// pull", "no repository can be called x//"),
        ("account alice !dev pull", "no repository can be called !dev; ! means something within [ ] only"),
        ("account Eve ${account}/* pull", "no repository can be called Eve/*"),
    ],
)
def test_a_rule_that_can_do_nothing_says_why(rule: str, reason: str) -> None:
    assert reasons(rule) == {0: reason}


@pytest.mark.parametrize(
    ("wider", "rule"),
    [
        ("account alice a/* pull,push", "account alice a/b pull"),
        ("account alice * *", "account alice a/* delete"),
        ("account * a/* pull", "account alice a/* pull"),
        ("account ci-* a/* pull", "account ci-? a/b pull"),
        ("account * a/* pull", "group team a/* pull"),
        ("anonymous - a/* pull", "account * a/* pull"),
        ("anonymous - a/* pull", "group team a/b pull"),
        ("account alice a/* *", "account alice a/* pull,push,delete"),
    ],
)
def test_a_rule_that_another_one_contains(wider: str, rule: str) -> None:
    assert reasons(wider, rule) == {1: "rule 0 allows all of it"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("account alice a/* pull", "account alice a/b push"),
        ("account alice a/* pull", "account bob a/b pull"),
        ("account alice a/* pull", "account * a/b pull"),
        ("group team a/* pull", "account alice a/b pull"),
        ("account ci-* a/* pull", "group team a/b pull"),
        ("account * a/* pull", "anonymous - a/b pull"),
        ("account alice a/* pull", "account alice b/* pull"),
    ],
)
def test_rules_that_differ_somewhere_are_both_needed(one: str, other: str) -> None:
    assert reasons(one, other) == {}


def test_the_place_in_the_file_decides_nothing_when_one_is_wider() -> None:
    assert reasons("account alice a/b pull", "account alice a/* pull") == {0: "rule 1 allows all of it"}


def test_of_two_that_allow_the_same_the_later_one_is_told() -> None:
    assert reasons("account alice a/* *", "account alice a/** pull,push,delete") == {1: "rule 0 allows all of it"}


@pytest.mark.parametrize(
    ("rules", "accounts"),
    [
        ([f"account alice {'*a?' * 80}{'b' * (number % 9)}{number} pull" for number in range(200)], ACCOUNTS),
        ([f"account {number}-*x*y*z a/* pull" for number in range(300)], {f"a{n}" for n in range(8000)}),
    ],
    ids=["names", "accounts"],
)
def test_rules_that_take_long_to_compare_are_not_all_compared(rules: list[str], accounts: set[str]) -> None:
    found = Rules(candidates(*rules), accounts, GROUPS)

    assert len(list(found.reasons())) < len(rules)
    assert found.is_exhausted


def test_thousands_of_common_rules_are_all_compared() -> None:
    rules = [f"account user-{number} team-{number % 50}/app-{number}/* pull" for number in range(5000)]
    found = Rules(candidates(*rules), {f"user-{number}" for number in range(5000)}, GROUPS)

    assert list(found.reasons()) == []
    assert not found.is_exhausted


CONDITIONS = {"tags": "v*", "networks": (ip_network("10.0.0.0/8"),), "until": datetime(2090, 1, 1, tzinfo=UTC)}


def conditioned(*rules: tuple[str, dict[str, Any]]) -> dict[int, str]:
    """Return the reasons of rules with conditions."""
    found = candidates(*(text for text, _ in rules))
    given = [replace(one, **more) for one, (_, more) in zip(found, rules, strict=True)]
    return dict(Rules(given, ACCOUNTS, GROUPS).reasons())


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_rule_with_a_condition_is_contained_in_one_without(condition: str) -> None:
    narrow = ("account alice a/* push", {condition: CONDITIONS[condition]})

    assert conditioned(("account alice a/* push", {}), narrow) == {1: "rule 0 allows all of it"}
    assert conditioned(narrow, ("account alice a/* push", {})) == {0: "rule 1 allows all of it"}
    assert conditioned(narrow, ("account alice a/b push", {})) == {}
    assert conditioned(narrow, narrow) == {1: "rule 0 allows all of it"}


def test_a_denied_rule_has_no_effect() -> None:
    deny = ("anonymous - a/* pull,push", {"is_deny": True})

    assert conditioned(("account alice a/b pull", {}), deny) == {0: "rule 1 denies all of it"}
    assert conditioned(("account alice a/b pull,delete", {}), deny) == {}
    assert conditioned(("account alice * pull", {}), deny) == {}
    assert conditioned(deny, ("account alice a/b push", {"is_deny": True})) == {1: "rule 0 denies all of it"}


def test_a_rule_behind_one_that_is_about_all_of_it_has_no_effect() -> None:
    first, second = ("account alice a/* pull", {"order": 10}), ("account alice a/b push", {"order": 20})

    assert conditioned(first, second) == {1: "rule 0 comes first"}
    assert conditioned(second, first) == {0: "rule 1 comes first"}
    assert conditioned(("account alice a/b pull", {"order": 10}), ("account alice a/* push", {"order": 20})) == {}
    assert conditioned(("account alice a/* *", {"order": 10}), ("account alice a/* push", {})) == {}
    assert conditioned(("account alice a/* *", {}), ("account alice a/* push", {"order": 10})) == {}
    assert conditioned(("account alice a/* pull", {"order": 10}), ("account alice a/* pull", {"order": 10})) == {}


def test_a_rule_that_denies_is_not_contained_in_one_that_allows() -> None:
    assert conditioned(("account * * *", {}), ("account alice a/* push", {"is_deny": True})) == {}


def test_a_rule_that_has_ended() -> None:
    ended = {"until": datetime(2020, 1, 1, tzinfo=UTC)}

    assert conditioned(("account alice a/* pull", ended)) == {0: "it has ended (2019-12-31)"}
    assert conditioned(("account alice a/* pull", ended), ("account alice a/b pull", {})) == {
        0: "it has ended (2019-12-31)"
    }


def test_a_pull_is_contained_whatever_the_tags() -> None:
    wide = ("account alice a/* pull,push", {"tags": "v*"})

    assert conditioned(wide, ("account alice a/b pull", {})) == {1: "rule 0 allows all of it"}
    assert conditioned(wide, ("account alice a/b push", {"tags": "v1"})) == {1: "rule 0 allows all of it"}
    assert conditioned(wide, ("account alice a/b push", {"tags": "w*"})) == {}


def test_groups_in_names() -> None:
    assert reasons("account * ${group}/* pull") == {}
    assert reasons("group [x ${group}/* pull") == {0: "no repository can be called [[]x/*"}
    assert reasons("account * ${group}/* pull", "account * ${group}/x pull") == {1: "rule 0 allows all of it"}
    assert reasons("account * ${account}/* pull", "account * ${group}/* pull") == {}
