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
    }
    assert response["Location"] == f"/api/v1/rules/{made['id']}"
    assert answered(bob, "explain?repository=alice/app&action=push")["allowed"]


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
