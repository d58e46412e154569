"""Rules of the database, compiled once per permissions version; a broken row allows nothing and breaks nothing."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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


def allow_and_deny(**denial: Any) -> None:
    Rule.objects.create(subject_kind="account", subject="*", name="*", actions="*")
    given = {"subject_kind": "account", "subject": "alice", "name": "app", "actions": "push", "is_deny": True}
    Rule.objects.bulk_create([Rule(**given | denial)])


@pytest.mark.parametrize(
    ("broken", "allowed_on_app", "allowed_on_other"),
    [
        ({}, "pull delete", "pull push delete"),
        ({"name": "["}, "pull delete", "pull delete"),
        ({"subject": "["}, "pull delete", "pull push delete"),
        ({"subject_kind": "robots"}, "pull delete", "pull push delete"),
        ({"actions": "fly"}, "", "pull push delete"),
        ({"tags": "["}, "pull delete", "pull push delete"),
        ({"tags": "v*", "actions": "pull,push"}, "delete", "pull push delete"),
        ({"networks": "10.0.0.1/8"}, "pull delete", "pull push delete"),
        ({"subject_kind": "anonymous", "subject": "", "name": "${group}"}, "pull delete", "pull delete"),
    ],
    ids=str,
)
def test_a_broken_row_that_denies_denies_more(
    broken: dict[str, str], allowed_on_app: str, allowed_on_other: str, caplog: pytest.LogCaptureFixture
) -> None:
    allow_and_deny(**broken)

    assert actions_on("app") == set(allowed_on_app.split())
    assert actions_on("other") == set(allowed_on_other.split())
    assert ("denies all" in caplog.text) == bool(broken)


@pytest.mark.parametrize(
    "broken", [{"name": "["}, {"order": 32_000}, {"tags": "v*"}, {"networks": "10.0.0.1/8"}], ids=str
)
def test_a_broken_row_with_an_order_denies_instead_of_falling_through(broken: dict[str, Any]) -> None:
    Rule.objects.create(subject="*", name="*", actions="*", order=20)
    Rule.objects.bulk_create(
        [Rule(**{"subject": "alice", "name": "app", "actions": "pull,push", "order": 10} | broken)]
    )

    assert actions_on("app") == set()


def test_a_broken_subject_denies_everybody() -> None:
    allow_and_deny(subject="[")

    assert actions_on("app", Identity("bob")) == {"pull", "delete"}


def test_a_rule_ends_without_a_statement(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Callable[[int], Any]
) -> None:
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    Rule.objects.create(subject_kind="account", subject="alice", name="app", actions="pull", until=ends)
    Rule.objects.create(
        subject_kind="account", subject="alice", name="app", actions="push", until=ends + timedelta(days=1)
    )
    now = permissions_version.current()
    monkeypatch.setattr(time, "time", lambda: ends.timestamp() - 1)
    assert grants.actions_on(ALICE, "app", now) == {"pull", "push"}

    with django_assert_num_queries(0):
        monkeypatch.setattr(time, "time", ends.timestamp)
        assert grants.actions_on(ALICE, "app", now) == {"push"}
        assert not grants.rules_of(ALICE, now).allows("pull")("app")
        monkeypatch.setattr(time, "time", lambda: ends.timestamp() + 86_400)
        assert grants.actions_on(ALICE, "app", now) == set()


def test_without_networks_in_the_rules_an_identity_stays_the_same() -> None:
    now = permissions_version.current()

    assert grants.located(ALICE, "10.1.2.3", now) is ALICE


def test_identities_differ_by_networks_alone() -> None:
    Rule.objects.create(subject_kind="account", subject="*", name="*", actions="pull", networks="10.0.0.0/8")
    now = permissions_version.current()

    inside = {grants.located(ALICE, f"10.1.2.{number}", now) for number in range(200)}
    outside = {grants.located(ALICE, f"192.0.2.{number}", now) for number in range(200)}

    assert (len(inside), len(outside)) == (1, 1)
    assert grants.actions_on(inside.pop(), "app", now) == {"pull"}
    assert grants.actions_on(outside.pop(), "app", now) == set()
