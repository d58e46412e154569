"""What a rule does now, shown before it is saved."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.models import Account
from acl.models import Rule
from administration import preview
from administration.preview import Preview
from distribution.models import Repository
from tests.admin.browser import Browser, staff
from tests.admin.form import form_of
from tests.images import Image

RULES, PREVIEW = "/admin/acl/rule/", "/admin/acl/rule/preview/"
NEW = {"subject_kind": "account", "subject": "charlie", "name": "alice/*", "actions": "pull", "comment": ""}


@pytest.fixture(autouse=True)
def _repositories(push: Callable[..., Image]) -> None:
    for name in ("alice/app", "alice/other"):
        push(name)


def of(**values: Any) -> Preview:
    return Preview.of(Rule(**{**NEW, **values}))


@pytest.mark.parametrize(
    ("values", "accounts"),
    [
        ({"subject": "charlie"}, ("charlie",)),
        ({"subject": "nobody"}, ()),
        ({"subject": "[ab]*"}, ("alice", "bob")),
        ({"subject": "*"}, ("alice", "bob", "charlie")),
        ({"subject_kind": "group", "subject": "writers"}, ("bob",)),
    ],
)
def test_the_accounts_that_match_are_listed(values: dict[str, str], accounts: tuple[str, ...]) -> None:
    Account.objects.get(name="bob").groups.add(Group.objects.create(name="writers"))

    assert of(**values).accounts.names == accounts


def test_a_deactivated_account_does_not_match() -> None:
    Account.objects.filter(name="bob").update(is_active=False)

    assert of(subject="b*").accounts.names == ()


@pytest.mark.parametrize(
    ("values", "repositories"),
    [
        ({"name": "alice/*"}, ("alice/app", "alice/other")),
        ({"name": "alice/app"}, ("alice/app",)),
        ({"name": "*/app"}, ("alice/app",)),
        ({"name": "*"}, ("alice/app", "alice/other")),
        ({"name": "team/*"}, ()),
        ({"name": "${account}/*", "subject": "alice"}, ("alice/app", "alice/other")),
        ({"name": "${account}/*", "subject": "bob"}, ()),
    ],
)
def test_the_repositories_that_match_are_listed(values: dict[str, str], repositories: tuple[str, ...]) -> None:
    assert of(**values).repositories.names == repositories


def test_only_the_first_names_are_listed_and_all_are_counted() -> None:
    Repository.objects.bulk_create(Repository(name=f"team/{number:02}") for number in range(25))

    found = of(name="team/*").repositories

    assert len(found.names) == 20
    assert found.count == "the first 20 of 25"


def test_no_more_names_are_read_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "MAX_READ", 1)

    found = of(name="alice/[ao]*").repositories

    assert (found.total, found.is_exact) == (1, False)
    assert found.count == "1, as far as they were read"


def test_a_rule_within_another_is_told() -> None:
    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/*", actions="pull,push")

    assert of(name="alice/app").warning == 'the rule "charlie may pull and push alice/*" allows all of it'


def test_the_button_previews_and_saves_nothing(admin: Browser) -> None:
    response = admin.submit(f"{RULES}add/", **NEW, _preview="1")

    page = response.content.decode()
    assert "charlie may pull alice/*" in page
    assert "Repositories: 2" in page
    form = form_of(page)
    assert (form["subject"], form["name"], form["actions"]) == (["charlie"], ["alice/*"], ["pull"])
    assert not Rule.objects.filter(subject="charlie").exists()


def test_the_button_previews_a_change_and_keeps_the_rule(admin: Browser) -> None:
    rule = Rule.objects.get(subject="bob")

    response = admin.submit(f"{RULES}{rule.pk}/change/", subject="charlie", _preview="1")

    assert "charlie may pull" in response.content.decode()
    assert form_of(response.content.decode())["subject"] == ["charlie"]
    rule.refresh_from_db()
    assert rule.subject == "bob"


def test_a_preview_of_what_is_wrong_says_so_at_the_field(admin: Browser) -> None:
    response = admin.submit(f"{RULES}add/", **{**NEW, "name": "Alice"}, _preview="1")

    assert response.status_code == 200
    assert response.content.decode().count("Names of repositories have lower-case letters") == 2


def test_a_saved_rule_shows_what_it_does(admin: Browser) -> None:
    page = admin.text(f"{RULES}{Rule.objects.get(subject='bob').pk}/change/")

    assert "What this rule does now" in page
    assert "Accounts: 1" in page


def test_the_script_gets_the_part_of_the_page_alone(admin: Browser) -> None:
    page = admin.text(PREVIEW, **NEW)

    assert "charlie may pull alice/*" in page
    assert "<html" not in page


def test_a_rule_is_not_within_itself(admin: Browser) -> None:
    rule = Rule.objects.create(**NEW)

    assert "no effect" not in admin.text(PREVIEW, **NEW, pk=str(rule.pk))
    assert "no effect" in admin.text(PREVIEW, **NEW)


def test_who_may_only_see_rules_learns_no_accounts_and_repositories(cast: None) -> None:
    page = staff("onlooker", "view_rule").text(PREVIEW, **{**NEW, "subject": "*", "name": "*"})

    assert "everyone signed in may pull *" in page
    assert "alice" not in page


def test_who_may_not_see_rules_previews_nothing(cast: None) -> None:
    other = staff("other", "view_account", "view_repository")

    assert other.get(PREVIEW, **NEW).status_code == 403
    assert other.post(f"{RULES}add/", {**NEW, "_preview": "1"}).status_code == 403


def test_who_may_not_change_rules_sends_none(cast: None) -> None:
    rule = Rule.objects.get(subject="bob")
    onlooker = staff("onlooker", "view_rule")

    assert onlooker.post(f"{RULES}{rule.pk}/change/", {**NEW, "_preview": "1"}).status_code == 403
    assert 'name="_preview"' not in onlooker.text(f"{RULES}{rule.pk}/change/")


def test_the_list_tells_rules_without_effect(admin: Browser) -> None:
    Rule.objects.create(**{**NEW, "subject": "nobody"})

    assert "there is no account nobody" in admin.text(RULES)
