"""The page that explains a decision."""

import pytest
from django.contrib.auth.models import Group

from accounts.models import Account
from acl.models import Rule
from tests.admin.browser import Browser, staff
from tests.admin.form import form_of

EXPLAIN = "/admin/acl/rule/explain/"


def asked(browser: Browser, account: str, action: str, repository: str) -> str:
    return browser.text(EXPLAIN, account=account, action=action, repository=repository)


def test_what_is_allowed_is_told_with_its_rule(admin: Browser) -> None:
    page = asked(admin, "bob", "pull", "alice/app")

    assert "bob may pull alice/app" in page
    assert "Allowed by:" in page


def test_what_is_denied_is_told_with_what_comes_close(admin: Browser) -> None:
    page = asked(admin, "bob", "push", "alice/app")

    assert "bob may not push alice/app" in page
    assert "bob may pull alice/*, but not push" in page


def test_without_an_account_anonymous_is_meant(admin: Browser) -> None:
    assert "anonymous may pull public/x" in asked(admin, "", "pull", "public/x")


def test_a_denial_leads_to_the_form_of_the_rule_that_lacks(admin: Browser) -> None:
    page = asked(admin, "charlie", "push", "team/app")
    link = page.partition('href="/admin/acl/rule/add/?')[2].partition('"')[0].replace("&amp;", "&")

    form = form_of(admin.text(f"/admin/acl/rule/add/?{link}"))

    assert (form["subject"], form["name"], form["actions"]) == (["charlie"], ["team/app"], ["push"])


@pytest.mark.parametrize(
    ("account", "repository", "reason"),
    [
        ("nobody", "alice/app", "There is no account of this name."),
        ("bob", "Alice", "No repository can be called so"),
        ("charlie", "alice/app", "This account is deactivated"),
    ],
)
def test_what_can_not_be_explained_is_refused_with_its_reason(
    admin: Browser, account: str, repository: str, reason: str
) -> None:
    Account.objects.filter(name="charlie").update(is_active=False)

    assert reason in asked(admin, account, "pull", repository)


def test_who_may_see_rules_asks_and_nobody_else(cast: None) -> None:
    group = Group.objects.create(name="secret-group")
    Rule.objects.create(subject_kind="group", subject=group.name, name="alice/app", actions="push")

    assert "secret-group" in asked(staff("onlooker", "view_rule"), "bob", "push", "alice/app")
    assert staff("other", "view_account").get(EXPLAIN).status_code == 403


def test_who_may_not_view_accounts_does_not_learn_which_there_are(cast: None) -> None:
    Account.objects.filter(name="charlie").update(is_active=False)
    onlooker = staff("onlooker", "view_rule")

    pages = [asked(onlooker, name, "pull", "alice/app") for name in ("nobody", "charlie")]

    for page in pages:
        assert "No account of this name may do anything." in page
        assert "deactivated" not in page
