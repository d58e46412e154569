"""Robots: accounts without a password, whose tokens the members of a group manage."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from accounts import authentication, permissions_version, robots
from accounts.identity import identity_of
from accounts.models import Account
from acl.models import Rule
from tests.admin.browser import Browser
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller
from tests.conftest import hashed
from tests.images import push_image
from tokens.access import store
from tokens.models import AccessToken


@pytest.fixture
def robot(cast: None) -> Account:
    """Make a robot of alice's group that may push to alice/*."""
    owner = Group.objects.create(name="team")
    Account.objects.get(name="alice").groups.add(owner)
    Rule.objects.create(subject_kind="account", subject="ci", name="alice/*", actions="pull,push")
    return robots.create("ci", owner)


def caller_of(robot: Account) -> Caller:
    """Speak as a client with a new token of the robot."""
    return Caller(Client(), robot.name, store.create(robot, "job")[1])


def is_logged_in(caller: Caller) -> bool:
    return bool(caller.ask_token("repository:alice/app:pull").status_code == 200)


def test_a_robot_pushes_with_its_token(robot: Account) -> None:
    push_image(caller_of(robot), "alice/app", "v1")


def test_no_password_is_a_robots(robot: Account) -> None:
    for password in ("", "!", robot.password):
        assert not is_logged_in(Caller(Client(), robot.name, password))


@pytest.mark.parametrize("change", [{"password": "bcrypt$x"}, {"is_staff": True}, {"is_superuser": True}])
def test_no_row_of_a_robot_has_a_password_or_powers(robot: Account, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Account.objects.filter(pk=robot.pk).update(**change)


def test_no_account_of_a_person_has_an_owner(robot: Account) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Account.objects.filter(name="bob").update(owner=robot.owner)


def test_a_directory_that_knows_a_password_for_its_name_does_not_help(
    robot: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "authenticate", lambda *_args, **_more: robot)

    assert authentication.identify(robot.name, "a password") is None


def test_a_session_of_a_robot_is_nobodys(robot: Account) -> None:
    client = Client()
    client.force_login(robot)

    assert client.get("/account").status_code == 302
    assert client.get("/api/v1/whoami").status_code in (401, 403)


def test_the_admin_sets_no_password(robot: Account) -> None:
    Account.objects.filter(name="charlie").update(is_staff=True, is_superuser=True)
    browser = Browser()
    browser.log_in("charlie", "charlie's password")
    form = {"password1": "long enough for all", "password2": "long enough for all", "usable_password": "true"}

    response = browser.post(f"/admin/accounts/account/{robot.pk}/password/", form)

    robot.refresh_from_db()
    assert not robot.has_usable_password()
    assert b"is a robot" in response.content


def test_its_groups_count_as_those_of_an_account(robot: Account) -> None:
    Rule.objects.all().delete()
    builders = Group.objects.create(name="builders")
    Rule.objects.create(subject_kind="group", subject="builders", name="alice/*", actions="pull,push")
    caller = caller_of(robot)
    refused = caller.post("/v2/alice/app/blobs/uploads/").status_code

    robot.groups.add(builders)

    # A new client: the other one has a bearer token without the right.
    again = Caller(Client(), caller.name, caller.password)
    assert (refused, again.post("/v2/alice/app/blobs/uploads/").status_code) == (401, 202)


def test_a_robot_whose_owner_is_deleted_is_refused_until_it_has_another(robot: Account) -> None:
    caller = caller_of(robot)
    assert is_logged_in(caller)

    Group.objects.filter(name="team").delete()
    without = is_logged_in(caller)
    Account.objects.filter(name="ci").update(owner=Group.objects.create(name="heirs"))

    assert not without
    assert is_logged_in(caller)
    assert AccessToken.objects.get().revoked_at is None


def test_a_bearer_token_ends_with_the_owner(robot: Account) -> None:
    caller = caller_of(robot)
    push_image(caller, "alice/app", "v1")
    bearer = {"Authorization": f"Bearer {caller.ask_token('repository:alice/app:pull').json()['token']}"}
    ask = caller.client.get
    assert ask("/v2/alice/app/manifests/v1", headers=bearer).status_code == 200

    Group.objects.filter(name="team").delete()

    assert ask("/v2/alice/app/manifests/v1", headers=bearer).status_code == 401


def test_a_command_makes_a_robot_and_its_token(
    cast: None,
    capsys: pytest.CaptureFixture[str],
    written: Written,  # noqa: F811
) -> None:
    Group.objects.bulk_create([Group(name="team"), Group(name="builders")])

    call_command("createrobot", "ci", "--owner", "team", "--group", "builders")
    capsys.readouterr()
    call_command("createtoken", "ci", "--name", "job")

    identity = identity_of("ci", permissions_version.current())
    assert identity is not None
    assert identity.is_robot
    assert identity.groups == {"builders"}
    assert is_logged_in(Caller(Client(), "ci", capsys.readouterr().out.strip()))
    assert ("account ci", "added: a robot of the group team") in [(e.reference, e.detail) for e in written()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ci", "--owner", "nobody"), "no group nobody"),
        (("ALICE", "--owner", "team"), "upper and lower case"),
        (("a b", "--owner", "team"), "account name"),
    ],
)
def test_a_command_says_why_it_makes_no_robot(cast: None, arguments: tuple[str, ...], message: str) -> None:
    Group.objects.create(name="team")

    with pytest.raises(CommandError, match=message):
        call_command("createrobot", *arguments)


def test_a_robot_is_no_person_any_more_once_it_has_a_password(robot: Account) -> None:
    caller = caller_of(robot)
    values = {"is_robot": False, "owner": None, "password": hashed("a password")}

    Account.objects.filter(pk=robot.pk).update(**values)

    assert not is_logged_in(caller)
