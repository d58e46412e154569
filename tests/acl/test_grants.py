"""Rules of the database, compiled once per permissions version; a broken row allows nothing and breaks nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts import permissions_version
from accounts.identity import ANONYMOUS, Identity
from acl import grants
from acl.models import Rule

pytestmark = pytest.mark.django_db

ALICE = Identity("alice", frozenset({"team"}))


def actions_on(name: str, identity: Identity = ALICE) -> set[str]:
    return set(grants.actions_on(identity, name, permissions_version.current()))


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "["},
        {"name": ""},
        {"name": "[z-a]"},
        {"name": "*" * 400},
        {"subject": "["},
        {"subject": ""},
        {"subject_kind": "everybody"},
        {"subject_kind": ""},
        {"subject_kind": "anonymous"},
        {"subject_kind": "group", "subject": ""},
        {"actions": ""},
        {"actions": "fly"},
        {"actions": "pull push"},
        {"actions": "push,pull"},
    ],
    ids=str,
)
def test_a_broken_row_allows_nothing_and_breaks_no_other(broken: dict[str, str]) -> None:
    if connection.vendor == "postgresql" and len(broken.get("name", "")) > 255:
        pytest.skip("PostgreSQL does not take it")
    sound: dict[str, Any] = {"subject_kind": "account", "subject": "*", "name": "*", "actions": "push"}
    Rule.objects.create(subject_kind="account", subject="alice", name="app", actions="pull")
    Rule.objects.bulk_create([Rule(**sound | broken)])

    assert actions_on("app") == {"pull"}
    assert actions_on("other") == set()
    assert actions_on("app", ANONYMOUS) == set()


def test_rules_are_read_once_per_epoch(django_assert_num_queries: Callable[[int], Any]) -> None:
    Rule.objects.create(subject_kind="account", subject="*", name="*", actions="pull")
    now = permissions_version.current()
    grants.actions_on(ALICE, "app", now)

    with django_assert_num_queries(0):
        grants.actions_on(ALICE, "app", now)
        grants.actions_on(ALICE, "other", now)
        grants.actions_on(Identity("bob"), "app", now)
        grants.rules_of(ANONYMOUS, now)


def test_a_thousand_rules_are_one_query(django_assert_num_queries: Callable[[int], Any]) -> None:
    Rule.objects.bulk_create(
        Rule(subject_kind="account", subject=f"user{n}", name=f"team{n}/*", actions="pull") for n in range(1000)
    )
    now = permissions_version.current()

    with django_assert_num_queries(1):
        allowed = grants.actions_on(Identity("user7"), "team7/app", now)

    assert allowed == {"pull"}


def test_groups_of_one_account_are_not_mixed_up() -> None:
    Rule.objects.create(subject_kind="group", subject="team", name="*", actions="pull")

    assert actions_on("app", Identity("alice", frozenset({"team"}))) == {"pull"}
    assert actions_on("app", Identity("alice")) == set()
    assert actions_on("app", Identity("", frozenset({"team"}))) == {"pull"}


def test_more_names_than_are_remembered_are_judged_all_the_same() -> None:
    Rule.objects.create(subject_kind="account", subject="alice", name="even*", actions="pull")
    now = permissions_version.current()

    for number in range(60_000):
        kind = "even" if number % 2 == 0 else "odd"
        assert bool(grants.actions_on(ALICE, f"{kind}{number}", now)) == (kind == "even")
