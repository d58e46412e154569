"""Staff who manage accounts and are no superusers become neither superusers nor anybody who is more than they are.

Django's own admin lets them: whoever may change accounts may tick "superuser" and set anybody's password.
"""

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.models import Account
from tests.admin.browser import Browser
from tests.admin.test_accounts import ACCOUNTS, page_of, password_page_of

POWERS = {"is_staff": "on", "is_superuser": "on"}


@pytest.fixture
def everything(db: None) -> list[str]:
    """Every permission, as a form sends them."""
    return [str(pk) for pk in Permission.objects.values_list("pk", flat=True)]


@pytest.fixture
def operators(db: None) -> Group:
    """Make a group that may do everything in the admin."""
    group = Group.objects.create(name="operators")
    group.permissions.set(Permission.objects.all())
    return group


def is_powerless(name: str) -> bool:
    account = Account.objects.get(name=name)
    return not (account.is_staff or account.is_superuser or account.get_all_permissions())


def test_a_manager_manages_ordinary_accounts(manager: Browser) -> None:
    writers = Group.objects.create(name="writers")

    renamed = manager.submit(page_of("alice"), name="alice2", groups=[str(writers.pk)])
    password = manager.submit(password_page_of("bob"), password1="bob's new one", password2="bob's new one")

    assert (renamed.status_code, password.status_code) == (302, 302)
    assert Account.objects.get(name="alice2").groups.get() == writers
    assert Account.objects.get(name="bob").check_password("bob's new one")


def test_a_manager_gives_no_powers_to_an_account(manager: Browser, everything: list[str]) -> None:
    manager.submit(page_of("charlie"), **POWERS, user_permissions=everything)

    assert is_powerless("charlie")


def test_a_manager_gives_no_powers_to_a_new_account(manager: Browser, everything: list[str]) -> None:
    password = {"password1": "a long enough password", "password2": "a long enough password"}

    manager.submit(f"{ACCOUNTS}add/", name="dora", **password, **POWERS, user_permissions=everything)

    assert is_powerless("dora")


def test_a_manager_takes_no_powers(manager: Browser, everything: list[str]) -> None:
    before = set(Account.objects.get(name="manager").get_all_permissions())

    response = manager.post(page_of("manager"), {"name": "manager", **POWERS, "user_permissions": everything})

    account = Account.objects.get(name="manager")
    assert response.status_code == 403
    assert not account.is_superuser
    assert set(account.get_all_permissions()) == before


def test_a_manager_puts_nobody_into_a_group_with_permissions(manager: Browser, operators: Group) -> None:
    response = manager.submit(page_of("charlie"), groups=[str(operators.pk)])

    assert response.status_code == 200
    assert is_powerless("charlie")


def test_a_manager_puts_no_permissions_into_a_group(manager: Browser, everything: list[str]) -> None:
    writers = Group.objects.create(name="writers")

    manager.submit(f"/admin/auth/group/{writers.pk}/change/", permissions=everything)
    manager.submit("/admin/auth/group/add/", name="mine", permissions=everything)

    assert not writers.permissions.exists()
    assert not Group.objects.get(name="mine").permissions.exists()


def test_a_manager_does_not_touch_a_group_with_permissions(manager: Browser, operators: Group) -> None:
    page = f"/admin/auth/group/{operators.pk}/change/"

    changed = manager.post(page, {"name": "mine"})
    deleted = manager.post(page.replace("change", "delete"), {"post": "yes"})

    assert (changed.status_code, deleted.status_code) == (403, 403)
    assert Group.objects.filter(name="operators").exists()


@pytest.mark.parametrize("page", [page_of, password_page_of])
def test_a_manager_does_not_become_a_superuser_by_setting_the_password(
    manager: Browser, root: Account, page: object
) -> None:
    new = {"name": "root", "password1": "the manager's", "password2": "the manager's"}

    response = manager.post(page("root"), new)  # type: ignore[operator]  # one of the two functions

    root.refresh_from_db()
    assert response.status_code == 403
    assert root.check_password("the password of root")


@pytest.mark.parametrize("power", ["staff", "permission", "group"])
def test_a_manager_does_not_become_anybody_with_powers(manager: Browser, operators: Group, power: str) -> None:
    charlie = Account.objects.get(name="charlie")
    if power == "staff":
        Account.objects.filter(pk=charlie.pk).update(is_staff=True)
    elif power == "permission":
        charlie.user_permissions.add(Permission.objects.get(codename="change_rule"))
    else:
        charlie.groups.add(operators)

    response = manager.post(password_page_of("charlie"), {"password1": "mine" * 3, "password2": "mine" * 3})

    assert response.status_code == 403
    assert Account.objects.get(name="charlie").password == charlie.password


def test_a_manager_deletes_no_superuser(manager: Browser, root: Account) -> None:
    one = manager.post(page_of("root").replace("change", "delete"), {"post": "yes"})
    several = manager.post(ACCOUNTS, {"action": "delete_selected", "_selected_action": [str(root.pk)], "post": "yes"})

    assert (one.status_code, several.status_code) == (403, 403)
    assert Account.objects.filter(name="root").exists()


def test_a_superuser_gives_powers(admin: Browser, operators: Group) -> None:
    admin.submit(page_of("charlie"), is_staff="on", groups=[str(operators.pk)])

    charlie = Account.objects.get(name="charlie")
    assert charlie.is_staff
    assert charlie.has_perm("accounts.change_account")
