"""Robots of the own groups, and their access tokens; robots made by administrators."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts import robots
from accounts.models import Account
from tests.api.asking import answered, ask, items
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller
from tests.web.test_pages import signed_in, text_of
from tokens.access import store
from tokens.models import AccessToken

TOKENS = "robots/ci/tokens"


@pytest.fixture
def robot(cast: None) -> Account:
    """Make a robot that alice's group owns."""
    owner = Group.objects.create(name="team")
    Account.objects.get(name="alice").groups.add(owner)
    return robots.create("ci", owner)


def test_a_member_lists_the_robots_of_the_own_groups(robot: Account, alice: Caller, bob: Caller) -> None:
    robots.create("other", Group.objects.create(name="others"))

    assert [(found["name"], found["owner"]) for found in items(alice, "robots")] == [("ci", "team")]
    assert items(bob, "robots") == []


def test_a_member_makes_and_revokes_a_token_which_the_audit_has(
    robot: Account,
    alice: Caller,
    written: Written,  # noqa: F811
) -> None:
    made = ask(alice, "POST", TOKENS, {"name": "job", "scopes": ["alice/app:pull"]})
    token = Caller(Client(), "ci", made.json()["token"])
    assert (made.status_code, token.ask_token().status_code) == (201, 200)
    assert [found["created_by"] for found in items(alice, TOKENS)] == ["alice"]

    revoked = ask(alice, "DELETE", f"{TOKENS}/{made.json()['id']}")

    assert (revoked.status_code, token.ask_token().status_code) == (204, 401)
    events = [(event.account, event.reference, event.detail) for event in written()]
    assert ("alice", "account ci", "access token job created") in events
    assert ("alice", "account ci", "access token job revoked") in events


def test_the_robot_of_another_group_is_not_found(robot: Account, bob: Caller) -> None:
    store.create(robot, "job")
    pk = AccessToken.objects.get().pk

    answers = [ask(bob, "GET", TOKENS), ask(bob, "POST", TOKENS, {"name": "x"}), ask(bob, "DELETE", f"{TOKENS}/{pk}")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert AccessToken.objects.get().revoked_at is None


def test_who_leaves_the_group_manages_no_more(robot: Account, alice: Caller) -> None:
    assert ask(alice, "GET", TOKENS).status_code == 200

    Account.objects.get(name="alice").groups.clear()

    assert ask(alice, "GET", TOKENS).status_code == 404


def test_a_token_makes_no_other_not_even_of_a_robot_in_the_group(robot: Account) -> None:
    robot.groups.add(Group.objects.get(name="team"))
    caller = Caller(Client(), "ci", store.create(robot, "job")[1])

    assert ask(caller, "POST", TOKENS, {"name": "more"}).status_code == 403
    assert answered(caller, "whoami")["name"] == "ci"


def test_an_administrator_makes_a_robot(robot: Account, root: Caller) -> None:
    made = ask(root, "POST", "accounts", {"name": "builder", "owner": "team"})

    assert made.status_code == 201
    assert (made.json()["is_robot"], made.json()["owner"]) == (True, "team")
    assert not Account.objects.get(name="builder").has_usable_password()


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "accounts", {"name": "x", "owner": "nobody"}, "owner"),
        ("POST", "accounts", {"name": "x", "owner": "team", "password": "a long enough one"}, "password"),
        ("POST", "accounts", {"name": "x", "owner": "team", "is_staff": True}, "is_staff"),
        ("PATCH", "accounts/ci", {"password": "a long enough one"}, "password"),
        ("PATCH", "accounts/ci", {"is_superuser": True}, "is_superuser"),
        ("PATCH", "accounts/ci", {"owner": None}, "owner"),
        ("PATCH", "accounts/bob", {"owner": "team"}, "owner"),
    ],
)
@pytest.mark.usefixtures("robot")
def test_what_no_robot_has_is_refused(root: Caller, method: str, path: str, body: dict[str, Any], field: str) -> None:
    answer = ask(root, method, path, body)

    assert answer.status_code == 400
    assert field in str(answer.json())


def test_a_robot_keeps_its_tokens_under_another_owner(robot: Account, root: Caller) -> None:
    Group.objects.create(name="heirs")
    caller = Caller(Client(), "ci", store.create(robot, "job")[1])

    assert ask(root, "PATCH", "accounts/ci", {"owner": "heirs", "password": None}).status_code == 200
    assert caller.ask_token().status_code == 200


def test_explain_calls_a_robot_one(robot: Account, root: Caller) -> None:
    found = answered(root, "explain?account=ci&action=pull&repository=alice/app")

    assert found["decision"] == "the robot ci may not pull alice/app from 127.0.0.1"


def test_the_pages_make_and_revoke_a_token_of_a_robot(robot: Account) -> None:
    client = signed_in("alice")
    assert "/account/robots/ci/tokens" in text_of(client, "/account/robots")

    made = client.post("/account/robots/ci/tokens", {"name": "job", "scopes": "", "nonce": "n"}).content.decode()
    row = AccessToken.objects.get()
    assert (row.account, row.created_by, "rgt_" in made) == (robot, "alice", True)
    client.post("/account/robots/ci/tokens/revoke", {"token": str(row.pk)})

    row.refresh_from_db()
    assert row.revoked_at is not None


def test_the_pages_hide_robots_of_other_groups(robot: Account) -> None:
    store.create(robot, "job")
    client = signed_in("bob")

    assert "/account/robots/ci" not in text_of(client, "/account/robots")
    assert client.get("/account/robots/ci/tokens").status_code == 404
    answer = client.post("/account/robots/ci/tokens/revoke", {"token": str(AccessToken.objects.get().pk)})
    assert (answer.status_code, AccessToken.objects.get().revoked_at) == (404, None)
