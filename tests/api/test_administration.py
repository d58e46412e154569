"""Who may administer: staff with permissions, where the admin is open, after the second factor."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from django.contrib.auth.models import Permission
from pytest_django import Settings

from accounts.models import Account, SecondFactor
from configuration.values import Admin
from tests.api.asking import ask, promote
from tests.caller import Caller

PATHS = ["accounts", "groups", "rules", "collection/runs", "configuration", "accounts/alice", "trusted-issuers"]


def restrict(settings: Settings, **values: object) -> None:
    settings.REGISTRY = replace(settings.REGISTRY, admin=Admin(**values))  # type: ignore[arg-type]


def permit(caller: Caller, *codenames: str) -> Caller:
    """Make the account staff with these permissions."""
    promote(caller, is_staff=True)
    Account.objects.get(name=caller.name).user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return caller


@pytest.mark.parametrize("path", PATHS)
def test_it_is_closed_to_others(anonymous: Caller, alice: Caller, path: str) -> None:
    assert ask(anonymous, "GET", path).status_code == 401
    assert ask(alice, "GET", path).status_code == 403


@pytest.mark.parametrize("path", PATHS)
def test_staff_without_permissions_are_refused(alice: Caller, path: str) -> None:
    assert ask(promote(alice, is_staff=True), "GET", path).status_code == 403


def test_permissions_without_being_staff_are_none(alice: Caller) -> None:
    permit(alice, "view_rule")
    promote(alice, is_staff=False)

    assert ask(alice, "GET", "rules").status_code == 403


@pytest.mark.parametrize(
    ("codename", "method", "path", "body"),
    [
        ("view_rule", "GET", "rules", None),
        ("add_rule", "POST", "rules", {"subject_kind": "anonymous", "name": "x", "actions": ["pull"]}),
        ("add_group", "POST", "groups", {"name": "made"}),
        ("add_account", "POST", "accounts", {"name": "made"}),
        ("change_account", "PATCH", "accounts/bob", {"is_active": False}),
        ("delete_account", "DELETE", "accounts/bob", None),
        ("add_run", "POST", "collection/runs", {"is_dry_run": True}),
    ],
)
def test_each_method_needs_its_own_permission(
    alice: Caller, codename: str, method: str, path: str, body: object
) -> None:
    others = Permission.objects.exclude(codename=codename).values_list("codename", flat=True)
    refused = ask(permit(alice, *others), method, path, body)

    done = ask(permit(alice, codename), method, path, body)

    assert (refused.status_code, done.status_code // 100) == (403, 2), done.content
    assert codename in refused.json()["detail"]


def test_it_is_open_where_the_admin_is(root: Caller, settings: Settings) -> None:
    restrict(settings, allowed_networks=(ip_network("10.0.0.0/8"),))
    headers = {"Authorization": root.basic}

    statuses = [
        type(root.client)().get("/api/v1/rules", headers=headers, REMOTE_ADDR=address).status_code
        for address in ("10.1.2.3", "192.0.2.1")
    ]

    assert statuses == [200, 403]


def test_without_an_admin_nobody_administers(root: Caller, settings: Settings) -> None:
    restrict(settings, is_enabled=False)

    assert type(root.client)().get("/api/v1/rules", headers={"Authorization": root.basic}).status_code == 403


def test_a_password_alone_does_not_replace_the_second_factor(root: Caller) -> None:
    SecondFactor.objects.create(account=Account.objects.get(name=root.name), seed="a", last_step=0)

    assert ask(root, "GET", "rules").status_code == 403
    assert ask(root, "GET", "whoami").status_code == 200


def test_a_second_factor_that_everybody_needs_is_needed_here(root: Caller, settings: Settings) -> None:
    restrict(settings, require_second_factor=True)

    assert ask(root, "GET", "rules").status_code == 403
