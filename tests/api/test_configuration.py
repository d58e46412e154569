"""The export of accounts, groups and rules, which `loadconfig` reads."""

from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import Group

from accounts.models import Account
from acl.models import Rule
from configuration.loading import load
from provisioning import importing
from provisioning.models import ImportedEntry
from tests.api.asking import answered, ask
from tests.api.test_administration import permit
from tests.caller import Caller
from upstreams.models import Proxy

ODD = ["null", "true", "0x1f", "1_000", "12e3", "a@b.c", "x+y", "007", "1.5"]


def accounts() -> dict[str, object]:
    return {
        account.name: (
            account.password,
            account.is_superuser,
            account.is_staff,
            account.is_active,
            sorted(account.groups.values_list("name", flat=True)),
        )
        for account in Account.objects.all()
    }


def rules() -> set[tuple[str, ...]]:
    return set(Rule.objects.values_list("subject_kind", "subject", "name", "actions", "comment"))


@pytest.fixture
def everything(root: Caller) -> None:
    """Make accounts, groups and rules of every kind, some with odd names."""
    for name in ODD:
        Account.objects.create_user(name, "a long password")
    Account.objects.filter(name="null").update(is_active=False)
    Account.objects.filter(name="true").update(is_staff=True)
    for name in ("team", "no: yes", "é #1", "'quoted\"", "null"):
        group = Group.objects.create(name=name)
        group.user_set.add(Account.objects.get(name="bob"))
        Rule.objects.create(
            subject_kind="group", subject=name, name="team/*", actions="pull", comment="# not: a comment"
        )
    Rule.objects.create(subject_kind="account", subject="*", name="${account}/**", actions="*", comment="é'\"")
    Rule.objects.create(subject_kind="account", subject="[ab]*", name="!x" * 3, actions="pull,push")


def test_it_is_loaded_into_an_empty_database(root: Caller, everything: None, tmp_path: Path) -> None:
    before = accounts(), rules()
    response = ask(root, "GET", "configuration?with=hashes")
    assert (response.status_code, response["Content-Type"]) == (200, "application/yaml; charset=utf-8")
    file = tmp_path / "config.yaml"
    file.write_bytes(response.content)
    for model in (Account, Group, Rule, ImportedEntry):
        model.objects.all().delete()

    importing.apply(load(file))

    assert (accounts(), rules()) == before


def test_without_hashes_it_is_loaded_too_and_nobody_can_log_in(root: Caller, alice: Caller, tmp_path: Path) -> None:
    response = ask(root, "GET", "configuration")
    file = tmp_path / "config.yaml"
    file.write_bytes(response.content)
    assert Account.objects.get(name="alice").password.removeprefix("bcrypt$") not in response.content.decode()
    Account.objects.all().delete()
    Rule.objects.all().delete()

    importing.apply(load(file))

    assert ask(alice, "GET", "whoami").status_code == 401
    assert Rule.objects.count() == 4


def test_only_superusers_get_hashes(root: Caller, bob: Caller) -> None:
    clerk = permit(bob, "view_account", "view_group", "view_rule")

    assert ask(clerk, "GET", "configuration").status_code == 200
    assert ask(clerk, "GET", "configuration?with=hashes").status_code == 403
    assert list(answered(root, "configuration?with=everything", 400)["errors"]) == ["with"]


def test_proxies_are_for_those_who_may_see_them(root: Caller, bob: Caller) -> None:
    Proxy.objects.create(prefix="hub/", url="https://upstream.example")
    clerk = permit(bob, "view_account", "view_group", "view_rule")

    found = [ask(caller, "GET", "configuration").content.decode() for caller in (root, clerk)]

    assert ["upstream.example" in text for text in found] == [True, False]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ({"subject": "bob", "name": "["}, {"account": "bob", "name": "*"}),
        ({"subject": "bob", "name": "UPPER"}, {"account": "bob", "name": "*"}),
        ({"subject": "[", "name": "a/*"}, {"anonymous": True, "name": "a/*"}),
    ],
)
def test_the_file_denies_at_least_what_an_invalid_rule_does(
    root: Caller, values: dict[str, str], written: dict[str, object]
) -> None:
    rule = Rule.objects.create(subject_kind="account", actions="pull", is_deny=True, **values)

    text = ask(root, "GET", "configuration").content.decode()

    assert f"# The rule {rule.pk} is not valid, and denies more here than it was to.\n" in text
    assert {**written, "actions": ["pull"], "deny": True} in yaml.safe_load(text)["acl"]


def test_what_the_file_can_not_have_is_named_in_comments(root: Caller) -> None:
    Group.objects.create(name="empty\n- evil: true")
    rule = Rule.objects.create(subject_kind="account", subject="bob", name="[", actions="pull")
    upper = Rule.objects.create(subject_kind="account", subject="bob", name="UPPER", actions="pull")
    Rule.objects.create(subject_kind="account", subject="bob", name="x", actions="pull", comment="a\tb\nc")

    text = ask(root, "GET", "configuration").content.decode()

    assert "# Without the group 'empty\\n- evil: true', which has no members.\n" in text
    for left_out in (rule, upper):
        assert f"# Without the rule {left_out.pk}, which is not valid.\n" in text
    assert "comment: a b c\n" in text
    assert set(yaml.safe_load(text)["users"]) == {"alice", "bob", "charlie"}
