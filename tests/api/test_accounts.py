"""Accounts and groups."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission

from accounts.models import Account
from tests.api.asking import answered, ask, items, promote
from tests.api.test_administration import permit
from tests.caller import Caller

EVERYTHING = ("add_account", "change_account", "delete_account", "view_account", "add_group", "change_group")
PASSWORD = "correct horse battery"


@pytest.fixture
def clerk(bob: Caller) -> Caller:
    """Speak as staff who manage accounts, and are no superusers."""
    return permit(bob, *EVERYTHING, "delete_group", "view_group")


@pytest.fixture
def powerful(db: None) -> Group:
    """Return a group with a permission."""
    group = Group.objects.create(name="powerful")
    group.permissions.add(Permission.objects.get(codename="add_rule"))
    return group


def wrong(response: Any) -> list[str]:
    assert response.status_code == 400, response.content
    return list(response.json()["errors"])


def test_an_account_is_created_and_logs_in(root: Caller) -> None:
    Group.objects.create(name="team")

    response = ask(root, "POST", "accounts", {"name": "dora", "password": PASSWORD, "groups": ["team"]})

    assert response.status_code == 201, response.content
    assert "password" not in response.json()
    assert response["Location"] == "/api/v1/accounts/dora"
    assert answered(Caller(root.client, "dora", PASSWORD), "whoami") == {
        "name": "dora",
        "groups": ["team"],
        "is_staff": False,
        "is_superuser": False,
        "access_token": None,
    }
    assert LogEntry.objects.get(object_repr="dora").change_message == "Added by the API."


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": "a b"}, ["name"]),
        ({"name": "ALICE"}, ["name"]),
        ({"name": "x", "password": "short"}, ["password"]),
        ({"name": "x", "password": "ä" * 37}, ["password"]),
        ({"name": "x", "groups": ["none"]}, ["groups"]),
        ({"name": "x", "groups": [["none"]]}, ["groups.0"]),
        ({"name": "x", "is_active": "perhaps"}, ["is_active"]),
    ],
)
def test_what_is_wrong_with_an_account_is_told_by_field(root: Caller, body: object, fields: list[str]) -> None:
    assert wrong(ask(root, "POST", "accounts", body)) == fields


def test_accounts_are_listed_and_filtered(root: Caller) -> None:
    Group.objects.create(name="team").user_set.add(Account.objects.get(name="bob"))
    Account.objects.filter(name="alice").update(is_active=False)

    assert [each["name"] for each in items(root, "accounts?limit=2")] == ["alice", "bob", "charlie"]
    assert [each["name"] for each in items(root, "accounts?contains=li")] == ["alice", "charlie"]
    assert [each["name"] for each in items(root, "accounts?group=team")] == ["bob"]
    assert [each["name"] for each in items(root, "accounts?is_active=false")] == ["alice"]


def test_a_change_leaves_the_other_fields(root: Caller) -> None:
    before = answered(root, "accounts/alice")

    response = ask(root, "PATCH", "accounts/alice", {"is_staff": True})

    assert response.json() == before | {"is_staff": True}
    assert ask(Caller(root.client, "alice", "alice's password"), "GET", "whoami").status_code == 200


def test_a_new_password_ends_the_old_one(root: Caller, alice: Caller) -> None:
    assert ask(root, "PATCH", "accounts/alice", {"password": PASSWORD}).status_code == 200
    assert ask(alice, "GET", "whoami").status_code == 401

    assert ask(root, "PATCH", "accounts/alice", {"password": None}).status_code == 200
    assert ask(Caller(root.client, "alice", PASSWORD), "GET", "whoami").status_code == 401


def test_an_account_keeps_its_name(root: Caller) -> None:
    assert wrong(ask(root, "PATCH", "accounts/alice", {"name": "alicia"})) == ["name"]
    assert ask(root, "PATCH", "accounts/alice", {"name": "alice"}).status_code == 200


def test_an_account_is_changed_only_as_the_client_saw_it(root: Caller) -> None:
    etag = ask(root, "GET", "accounts/alice")["ETag"]
    assert ask(root, "PATCH", "accounts/alice", {"is_active": False}, {"If-Match": etag}).status_code == 200

    assert ask(root, "PATCH", "accounts/alice", {"is_active": True}, {"If-Match": etag}).status_code == 412
    assert ask(root, "DELETE", "accounts/alice", headers={"If-Match": etag}).status_code == 412
    assert not Account.objects.get(name="alice").is_active
    assert ask(root, "GET", "accounts/alice", headers={"If-None-Match": etag}).status_code == 200


def test_an_account_is_deleted(root: Caller) -> None:
    assert ask(root, "DELETE", "accounts/alice").status_code == 204
    assert ask(root, "GET", "accounts/alice").status_code == 404
    assert ask(root, "DELETE", "accounts/al%00ice").status_code == 404


def test_nobody_locks_itself_out(root: Caller) -> None:
    for field in ("is_active", "is_staff", "is_superuser"):
        assert wrong(ask(root, "PATCH", f"accounts/{root.name}", {field: False})) == [field]
    assert ask(root, "DELETE", f"accounts/{root.name}").status_code == 403
    assert ask(root, "PATCH", f"accounts/{root.name}", {"is_staff": True}).status_code == 200


def test_only_a_superuser_gives_powers(clerk: Caller, powerful: Group) -> None:
    for body in ({"is_staff": True}, {"is_superuser": True}, {"groups": ["powerful"]}):
        assert wrong(ask(clerk, "PATCH", "accounts/alice", body)) == list(body)
        assert wrong(ask(clerk, "POST", "accounts", {"name": "dora"} | body)) == list(body)


def test_only_a_superuser_changes_who_has_powers(clerk: Caller, alice: Caller, powerful: Group) -> None:
    def statuses() -> set[int]:
        changed = ask(clerk, "PATCH", "accounts/alice", {"password": PASSWORD})
        return {changed.status_code, ask(clerk, "DELETE", "accounts/alice").status_code}

    promote(alice, is_staff=True)
    assert statuses() == {403}
    promote(alice, is_staff=False)
    powerful.user_set.add(Account.objects.get(name="alice"))
    assert statuses() == {403}
    powerful.user_set.clear()
    assert statuses() == {200, 204}


def test_a_group_is_created_renamed_and_deleted(root: Caller) -> None:
    made = ask(root, "POST", "groups", {"name": "team/a"})
    path = f"groups/{made.json()['id']}"
    assert (made.status_code, made["Location"]) == (201, f"/api/v1/{path}")

    renamed = ask(root, "PATCH", path, {"name": "team b"}, {"If-Match": made["ETag"]})

    assert renamed.json() == {"id": made.json()["id"], "name": "team b", "members": 0, "robots": 0, "permissions": []}
    assert ask(root, "PATCH", path, {"name": "c"}, {"If-Match": made["ETag"]}).status_code == 412
    assert ask(root, "DELETE", path, headers={"If-Match": made["ETag"]}).status_code == 412
    assert ask(root, "DELETE", path).status_code == 204
    assert ask(root, "GET", path).status_code == 404


def test_groups_are_listed_with_members_and_permissions(root: Caller, powerful: Group) -> None:
    powerful.user_set.add(Account.objects.get(name="bob"))
    Group.objects.create(name="team")

    found = items(root, "groups?limit=1")

    assert [(each["name"], each["members"], each["permissions"]) for each in found] == [
        ("powerful", 1, ["acl.add_rule"]),
        ("team", 0, []),
    ]
    assert [each["name"] for each in items(root, "groups?contains=ea")] == ["team"]


def test_a_group_has_its_name_alone(root: Caller, powerful: Group) -> None:
    assert wrong(ask(root, "POST", "groups", {"name": "powerful"})) == ["name"]
    assert ask(root, "PATCH", f"groups/{powerful.pk}", {"name": "powerful"}).status_code == 200


def test_only_a_superuser_changes_a_group_with_permissions(clerk: Caller, powerful: Group) -> None:
    assert ask(clerk, "PATCH", f"groups/{powerful.pk}", {"name": "x"}).status_code == 403
    assert ask(clerk, "DELETE", f"groups/{powerful.pk}").status_code == 403


@pytest.mark.parametrize("number", ["0", "99999999999999999999999", "-1"])
def test_a_group_that_is_none_is_404(root: Caller, number: str) -> None:
    assert ask(root, "GET", f"groups/{number}").status_code == 404
