"""Whether a row is of the configuration file, and the way back to it."""

from dataclasses import replace

import bcrypt
import pytest
from pytest_django.fixtures import Settings

from accounts.models import Account
from acl.models import Rule
from configuration.values import RuleEntry, UserEntry
from provisioning import importing
from tests.admin.browser import Browser, messages_of, staff
from tests.admin.form import form_of

ACCOUNTS, RULES = "/admin/accounts/account/", "/admin/acl/rule/"
HASH = bcrypt.hashpw(b"the password of dora", bcrypt.gensalt(4)).decode()
DORA = UserEntry(line=1, name="dora", password=HASH, groups=("developers",))
RULE = RuleEntry(
    line=2, subject_kind="account", subject="dora", name="team/*", actions=("pull",), comment="of the file"
)


@pytest.fixture(autouse=True)
def _imported(cast: None, settings: Settings) -> None:
    """Import a file with an account and a rule."""
    settings.REGISTRY = replace(settings.REGISTRY, users=(DORA,), acl=(RULE,))
    importing.apply(settings.REGISTRY)


def back_to_the_file(browser: Browser, path: str, *pks: int) -> list[str]:
    """Choose the action for rows of a list, and return what the page tells."""
    token = form_of(browser.text(path))["csrfmiddlewaretoken"]
    chosen = {"action": "restore", "_selected_action": [str(pk) for pk in pks], "csrfmiddlewaretoken": token}
    return messages_of(browser.client.post(path, chosen, follow=True))


def names(browser: Browser, path: str, origin: str) -> list[str]:
    return [str(row) for row in browser.get(path, origin=origin).context["cl"].result_list]


def test_the_list_tells_where_an_account_is_from(admin: Browser) -> None:
    assert names(admin, ACCOUNTS, "file") == ["dora"]
    assert names(admin, ACCOUNTS, "edited") == []
    assert names(admin, ACCOUNTS, "admin") == ["alice", "bob", "charlie", "root"]


def test_an_edited_account_is_told(admin: Browser) -> None:
    Account.objects.get(name="dora").groups.clear()

    assert names(admin, ACCOUNTS, "edited") == ["dora"]
    assert "file, edited since" in admin.text(f"{ACCOUNTS}{Account.objects.get(name='dora').pk}/change/")


def test_an_account_that_left_the_file_is_told(admin: Browser, settings: Settings) -> None:
    importing.apply(replace(settings.REGISTRY, users=()))

    assert names(admin, ACCOUNTS, "left") == ["dora"]


def test_an_edited_rule_is_told(admin: Browser) -> None:
    Rule.objects.filter(subject="dora").update(actions="pull,push")

    assert names(admin, RULES, "edited") == ["dora may pull and push team/*"]


def test_an_account_goes_back_to_the_file(admin: Browser) -> None:
    dora = Account.objects.get(name="dora")
    dora.groups.clear()
    dora.is_active, dora.is_staff, dora.password = False, True, "!"
    dora.save()

    told = back_to_the_file(admin, ACCOUNTS, dora.pk)

    assert told == ["1 account back to the file."]
    dora.refresh_from_db()
    assert (dora.is_active, dora.is_staff, dora.check_password("the password of dora")) == (True, False, True)
    assert [group.name for group in dora.groups.all()] == ["developers"]
    assert names(admin, ACCOUNTS, "file") == ["dora"]


def test_a_rule_goes_back_to_the_file(admin: Browser) -> None:
    rule = Rule.objects.get(subject="dora")
    Rule.objects.filter(pk=rule.pk).update(actions="*", subject="eve")

    back_to_the_file(admin, RULES, rule.pk)

    rule.refresh_from_db()
    assert str(rule) == "dora may pull team/*"


def test_a_row_of_the_admin_stays(admin: Browser) -> None:
    told = back_to_the_file(admin, ACCOUNTS, Account.objects.get(name="bob").pk)

    assert told == ["1 account unchanged: not of the file, or the file has changed since it was imported."]


def test_a_file_that_changed_since_its_import_restores_nothing(admin: Browser, settings: Settings) -> None:
    Account.objects.filter(name="dora").update(is_staff=True)
    settings.REGISTRY = replace(settings.REGISTRY, users=(replace(DORA, is_superuser=True),))

    told = back_to_the_file(admin, ACCOUNTS, Account.objects.get(name="dora").pk)

    assert "unchanged" in told[0]
    assert Account.objects.get(name="dora").is_superuser is False


def test_a_name_that_is_taken_restores_nothing(admin: Browser) -> None:
    Account.objects.filter(name="dora").update(name="theodora")
    Account.objects.create(name="dora")

    told = back_to_the_file(admin, ACCOUNTS, Account.objects.get(name="theodora").pk)

    assert told == ["Nothing is restored: another row has a name of the file now."]
    assert Account.objects.filter(name="theodora").exists()


def test_only_a_superuser_restores_accounts(manager: Browser) -> None:
    dora = Account.objects.get(name="dora")
    dora.groups.clear()

    back_to_the_file(manager, ACCOUNTS, dora.pk)

    assert not dora.groups.exists()


def test_who_may_not_change_rules_restores_none() -> None:
    Rule.objects.filter(subject="dora").update(actions="*")

    back_to_the_file(staff("onlooker", "view_rule"), RULES, Rule.objects.get(subject="dora").pk)

    assert Rule.objects.get(subject="dora").actions == "*"
