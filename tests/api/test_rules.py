"""Access rules."""

from typing import Any

import pytest

from acl.models import Rule
from tests.api.asking import answered, ask, items
from tests.caller import Caller

BOB = {"subject_kind": "account", "subject": "bob", "name": "alice/*", "actions": ["push", "pull"], "comment": "why"}


def test_a_rule_is_created_and_counts_at_once(root: Caller, bob: Caller) -> None:
    response = ask(root, "POST", "rules", BOB)

    made = response.json()
    assert response.status_code == 201
    assert made == BOB | {
        "actions": ["pull", "push"],
        "id": made["id"],
        "created_at": made["created_at"],
        "sentence": "bob may pull and push alice/*",
        "is_deny": False,
        "tags": "",
        "networks": [],
        "until": None,
        "order": None,
    }
    assert response["Location"] == f"/api/v1/rules/{made['id']}"
    assert answered(bob, "explain?repository=alice/app&action=push")["allowed"]


CONDITIONS = {"tags": "v*", "networks": ["10.0.0.0/8", "2001:db8::/32"], "until": "2030-12-31"}


def test_a_rule_has_conditions(root: Caller) -> None:
    made = ask(root, "POST", "rules", BOB | CONDITIONS).json()

    assert CONDITIONS.items() <= made.items()
    assert made["sentence"] == (
        "bob may pull and push alice/* from 10.0.0.0/8 or 2001:db8::/32 until 2030-12-31, but push only tags v*"
    )
    changed = ask(root, "PATCH", f"rules/{made['id']}", {"comment": "x", "until": None}).json()
    assert (changed["tags"], changed["networks"], changed["until"]) == ("v*", CONDITIONS["networks"], None)


def test_a_rule_that_denies_counts_at_once(root: Caller, alice: Caller) -> None:
    ask(root, "POST", "rules", BOB | {"subject": "*", "actions": ["push"], "is_deny": True})

    found = answered(alice, "explain?repository=alice/app&action=push")
    assert not found["allowed"]
    assert found["rules"] == ["everyone signed in may not push alice/*"]


def test_a_rule_has_an_order(root: Caller, bob: Caller) -> None:
    made = ask(root, "POST", "rules", BOB | {"order": 20}).json()
    ask(root, "POST", "rules", BOB | {"name": "alice/app", "actions": ["*"], "is_deny": True, "order": 10})

    assert made["order"] == 20
    found = answered(bob, "explain?repository=alice/app&action=push")
    assert (found["allowed"], found["rules"]) == (False, ["order 10: bob may not pull, push or delete alice/app"])
    assert answered(bob, "explain?repository=alice/other&action=push")["allowed"]
    changed = ask(root, "PATCH", f"rules/{made['id']}", {"order": None}).json()
    assert (changed["order"], changed["sentence"]) == (None, "bob may pull and push alice/*")


@pytest.mark.parametrize(
    "wrong", [{"order": 0}, {"order": 30_001}, {"order": 1, "tags": "v*"}, {"order": 1, "is_deny": True}], ids=str
)
def test_an_order_that_means_nothing_is_refused(root: Caller, wrong: dict[str, Any]) -> None:
    assert ask(root, "POST", "rules", BOB | wrong).status_code == 400
    assert not Rule.objects.filter(subject="bob", name="alice/*", comment="why").exists()


def test_a_tag_and_an_address_are_explained(root: Caller, bob: Caller) -> None:
    ask(root, "POST", "rules", BOB | CONDITIONS)

    asked = "explain?repository=alice/app&action=push&address=10.1.2.3&tag="
    assert answered(bob, f"{asked}v1")["decision"] == "bob may push alice/app:v1 from 10.1.2.3"
    assert not answered(bob, f"{asked}latest")["allowed"]
    assert not answered(bob, "explain?repository=alice/app&action=push&tag=v1&address=192.0.2.1")["allowed"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"subject": ""}, ["subject"]),
        ({"subject_kind": "anonymous"}, ["subject"]),
        ({"subject": "b b"}, ["subject"]),
        ({"name": "Alice/*"}, ["name"]),
        ({"name": "alice/["}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"actions": []}, ["actions"]),
        ({"actions": "pull"}, ["actions"]),
        ({"actions": ["fly"]}, ["actions.0"]),
        ({"comment": "x" * 256}, ["comment"]),
        ({"comment": ["x"]}, ["comment"]),
        ({"tags": "v1,v2"}, ["tags"]),
        ({"tags": "${account}"}, ["tags"]),
        ({"tags": "v*", "actions": ["pull"]}, ["tags"]),
        ({"tags": "v*", "is_deny": True}, ["tags"]),
        ({"networks": ["10.0.0.1/8"]}, ["networks"]),
        ({"networks": ["::ffff:10.0.0.0/104"]}, ["networks"]),
        ({"networks": ["fe80::1%eth0"]}, ["networks"]),
        ({"networks": [f"10.0.0.{n}" for n in range(21)]}, ["networks"]),
        ({"until": "tomorrow"}, ["until"]),
        ({"until": "9999-12-31"}, ["until"]),
        ({"until": "2030-12-31T18:00+01:00:00"}, ["until"]),
        ({"subject_kind": "anonymous", "subject": "", "name": "${group}/*"}, ["name"]),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_by_field(root: Caller, body: dict[str, Any], fields: list[str]) -> None:
    before = Rule.objects.count()

    response = ask(root, "POST", "rules", BOB | body)

    assert (response.status_code, list(response.json()["errors"])) == (400, fields)
    assert Rule.objects.count() == before


def test_a_change_leaves_the_other_fields(root: Caller) -> None:
    made = ask(root, "POST", "rules", BOB).json()

    changed = ask(root, "PATCH", f"rules/{made['id']}", {"actions": ["*"]}).json()

    assert changed == made | {"actions": ["*"], "sentence": "bob may pull, push and delete alice/*"}
    assert answered(root, f"rules/{made['id']}") == changed


def test_a_change_is_checked_as_a_whole(root: Caller) -> None:
    made = ask(root, "POST", "rules", BOB).json()

    response = ask(root, "PATCH", f"rules/{made['id']}", {"subject_kind": "anonymous"})

    assert (response.status_code, list(response.json()["errors"])) == (400, ["subject"])


def test_a_rule_is_changed_only_as_the_client_saw_it(root: Caller) -> None:
    made = ask(root, "POST", "rules", BOB)
    path, seen = f"rules/{made.json()['id']}", {"If-Match": made["ETag"]}

    assert ask(root, "PATCH", path, {"comment": "other"}, seen).status_code == 200

    assert ask(root, "PATCH", path, {"comment": "third"}, seen).status_code == 412
    assert ask(root, "DELETE", path, headers=seen).status_code == 412
    assert ask(root, "GET", path, headers={"If-None-Match": made["ETag"]}).json()["comment"] == "other"


def test_a_deleted_rule_ends_at_once(root: Caller, bob: Caller) -> None:
    rule = Rule.objects.get(subject="bob")

    assert ask(root, "DELETE", f"rules/{rule.pk}").status_code == 204

    assert not answered(bob, "explain?repository=alice/app&action=pull")["allowed"]
    assert ask(root, "GET", f"rules/{rule.pk}").status_code == 404


@pytest.mark.parametrize(
    ("query", "sentences"),
    [
        ("subject=bob", ["bob may pull alice/*"]),
        ("subject_kind=anonymous", ["everybody may pull public/*"]),
        ("subject_kind=anonymous&subject=", ["everybody may pull public/*"]),
        ("contains=public&limit=1", ["alice may pull, push and delete public/*", "everybody may pull public/*"]),
    ],
)
def test_rules_are_filtered(root: Caller, query: str, sentences: list[str]) -> None:
    assert [rule["sentence"] for rule in items(root, f"rules?{query}")] == sentences
