"""`manage.py loadconfig`: the file and the admin live together."""

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import bcrypt
import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import permissions_version
from accounts.identity import identity_of
from accounts.models import Account
from acl import grants
from acl.models import Rule
from configuration import load
from provisioning.idle_rules import idle_rules

pytestmark = pytest.mark.django_db

HASH, OTHER_HASH = (bcrypt.hashpw(word, bcrypt.gensalt(4)).decode() for word in (b"secret", b"other"))

USERS = f"""\
users:
  developer: {{password: "{HASH}", groups: [backend, web]}}
"""
ACL = """\
acl:
  - {account: developer, name: "myorg/*", actions: [pull, push], comment: daily work}
"""

Import = Callable[..., list[str]]


@pytest.fixture
def load_config(tmp_path: Path, settings: Settings) -> Import:
    """Import a text as the configuration file; return the printed lines, the path taken off the last one."""
    path = tmp_path / "config.yaml"

    def run(text: str, *options: str, status: int = 0) -> list[str]:
        path.write_text(text)
        settings.REGISTRY = load(path)
        out, found = StringIO(), 0
        try:
            call_command("loadconfig", str(path), *options, stdout=out, stderr=StringIO())
        except SystemExit as error:
            found = int(str(error.code))
        assert found == status
        return out.getvalue().removesuffix("\n").replace(f"{path}: ", "").split("\n")

    return run


def developer() -> Account:
    """Return the imported account."""
    return Account.objects.get(name="developer")


def queries_of(load_config: Import, text: str) -> int:
    """Import `text` and return the number of statements that took."""
    with CaptureQueriesContext(connection) as queries:
        load_config(text)
    return len(queries)


def many(count: int, actions: str = "pull") -> str:
    """Return a file of as many users as rules, in a few groups."""
    users = [f'  user{i}: {{password: "{HASH}", groups: [team{i % 3}]}}\n' for i in range(count)]
    rules = [f'  - {{account: user{i}, name: "user{i}/*", actions: [{actions}]}}\n' for i in range(count)]
    return "".join(["users:\n", *users, "acl:\n", *rules])


def test_a_file_in_which_nothing_changed_costs_the_same_statements_for_any_number_of_entries(
    load_config: Import,
) -> None:
    load_config(many(3))
    few = queries_of(load_config, many(3))
    load_config(many(600))
    assert queries_of(load_config, many(600)) == few <= 17


def test_600_users_and_rules_are_written_in_a_few_statements(load_config: Import) -> None:
    first = queries_of(load_config, many(600))
    changed = queries_of(load_config, many(600, actions="push"))
    removed = queries_of(load_config, "users: {}\nacl: []\n")

    assert max(first, changed, removed) <= 120
    assert not Account.objects.filter(is_active=True).exists()
    assert not Rule.objects.exists()


def test_members_are_written_for_each_of_many_accounts(load_config: Import) -> None:
    load_config(many(30))
    load_config(many(30).replace("[team0]", "[team0, team1]"))

    groups = {account.name: {group.name for group in account.groups.all()} for account in Account.objects.all()}
    assert groups["user0"] == groups["user3"] == {"team0", "team1"}
    assert (groups["user1"], groups["user2"]) == ({"team1"}, {"team2"})


def test_a_rule_that_can_do_nothing_is_a_warning_with_its_line(load_config: Import, tmp_path: Path) -> None:
    Account.objects.create_user("admins-own", "a long password")
    rules = """\
acl:
  - {account: developer, name: "myorg/*", actions: [pull, push]}
  - {account: admins-own, name: "a/b", actions: [pull]}
  - {account: nobody, name: "a/b", actions: [pull]}
  - {group: backend, name: "/x", actions: [pull]}
  - {group: "[ops", name: "x", actions: [pull]}
  - {account: developer, name: "myorg/app",
     actions: [push]}
  - {account: developer, name: "${account}/*", actions: [pull]}
"""
    load_config(USERS + rules)

    path = tmp_path / "config.yaml"
    assert list(idle_rules(load(path))) == [
        "config.yaml:6: acl: this rule has no effect: there is no account nobody",
        "config.yaml:7: acl: this rule has no effect: no repository can be called /x",
        "config.yaml:8: acl: this rule has no effect: there is no group [ops",
        "config.yaml:9: acl: this rule has no effect: the rule of line 4 allows all of it",
    ]


def test_users_and_groups_that_are_still_to_be_imported_make_no_rule_idle(load_config: Import, tmp_path: Path) -> None:
    rules = ACL + "  - {group: backend, name: other, actions: [pull]}\n"
    load_config(USERS + rules, "--check", status=1)

    assert idle_rules(load(tmp_path / "config.yaml")) == ()


def test_hundreds_of_idle_rules_are_not_all_told(load_config: Import, tmp_path: Path) -> None:
    load_config(many(300).partition("acl:")[1] + many(300).partition("acl:")[2])

    told = idle_rules(load(tmp_path / "config.yaml"))

    assert len(told) == 51
    assert told[-1] == "250 more rules have no effect"


def test_the_groups_of_a_rule_may_have_any_name(load_config: Import) -> None:
    load_config(
        USERS.replace("backend", '"dev[ops*"') + 'acl:\n  - {group: "dev[ops*", name: "a/*", actions: [pull]}\n'
    )

    identity = identity_of("developer", permissions_version.current())

    assert identity is not None
    assert grants.actions_on(identity, "a/b", permissions_version.current()) == {"pull"}


def test_what_the_file_adds_is_printed(load_config: Import) -> None:
    lines = load_config(USERS + ACL)

    assert lines == [
        "+ user developer",
        "+ rule developer may pull and push myorg/*",
        "2 added, 0 changed, 0 removed",
    ]


def test_an_imported_hash_is_kept_as_it_is_and_opens_the_account(load_config: Import) -> None:
    load_config(USERS)

    assert authenticate(username="developer", password="secret") == developer()
    assert developer().password == f"bcrypt${HASH}"


def test_groups_are_made_as_needed(load_config: Import) -> None:
    load_config(USERS)

    assert set(developer().groups.values_list("name", flat=True)) == {"backend", "web"}


def test_a_rule_is_imported_with_every_field(load_config: Import) -> None:
    load_config(ACL)

    fields = Rule.objects.values_list("subject_kind", "subject", "name", "actions", "comment")
    assert list(fields) == [("account", "developer", "myorg/*", "pull,push", "daily work")]


def test_a_second_import_changes_nothing(load_config: Import) -> None:
    load_config(USERS + ACL)
    before = permissions_version.current()

    lines = load_config(USERS + ACL)

    assert lines == ["0 added, 0 changed, 0 removed"]
    assert permissions_version.current() == before


def test_an_import_changes_the_permissions_version(load_config: Import) -> None:
    before = permissions_version.current()

    load_config(ACL)

    assert permissions_version.current() != before


def test_the_order_of_groups_and_actions_is_no_change(load_config: Import) -> None:
    load_config(USERS + ACL)

    lines = load_config((USERS + ACL).replace("backend, web", "web, backend").replace("pull, push", "push, pull"))

    assert lines == ["0 added, 0 changed, 0 removed"]


@pytest.mark.parametrize(
    ("old", "new", "printed"),
    [
        pytest.param(HASH, OTHER_HASH, "~ user developer", id="password"),
        ("groups: [backend, web]", "groups: []", "~ user developer"),
        ("groups: [backend, web]", "superuser: true", "~ user developer"),
        ("groups: [backend, web]", "active: false", "~ user developer"),
        ("pull, push", "pull", "~ rule developer may pull myorg/*"),
        ("daily work", "nightly work", "~ rule developer may pull and push myorg/*"),
    ],
)
def test_a_changed_entry_is_applied(load_config: Import, old: str, new: str, printed: str) -> None:
    load_config(USERS + ACL)

    lines = load_config((USERS + ACL).replace(old, new))

    assert lines == [printed, "0 added, 1 changed, 0 removed"]


def test_a_changed_entry_replaces_what_an_administrator_edited(load_config: Import) -> None:
    load_config(USERS)
    Account.objects.update(is_staff=True)

    load_config(USERS.replace(HASH, OTHER_HASH))

    assert (developer().password, developer().is_staff) == (f"bcrypt${OTHER_HASH}", False)


def test_groups_that_left_an_entry_are_left_but_not_deleted(load_config: Import) -> None:
    load_config(USERS)

    load_config(USERS.replace("backend, web", "web"))

    assert list(developer().groups.values_list("name", flat=True)) == ["web"]
    assert Group.objects.filter(name="backend").exists()


def test_a_user_who_left_the_file_is_deactivated(load_config: Import) -> None:
    load_config(USERS)

    lines = load_config("users: {}\n")

    assert lines == ["- user developer", "0 added, 0 changed, 1 removed"]
    assert not developer().is_active


def test_a_user_who_left_the_file_is_removed_once(load_config: Import) -> None:
    load_config(USERS)
    load_config("users: {}\n")
    Account.objects.update(is_active=True)

    lines = load_config("users: {}\n")

    assert lines == ["0 added, 0 changed, 0 removed"]
    assert developer().is_active


def test_a_user_who_comes_back_is_the_same_account_and_active(load_config: Import) -> None:
    load_config(USERS)
    before = developer().pk
    load_config("users: {}\n")

    lines = load_config(USERS)

    assert lines == ["~ user developer", "0 added, 1 changed, 0 removed"]
    assert (developer().pk, developer().is_active) == (before, True)


def test_a_rule_that_left_the_file_is_deleted(load_config: Import) -> None:
    load_config(ACL)

    lines = load_config("acl: []\n")

    assert lines == ["- rule developer may pull and push myorg/*", "0 added, 0 changed, 1 removed"]
    assert not Rule.objects.exists()


def test_a_rule_that_comes_back_is_added_again(load_config: Import) -> None:
    load_config(ACL)
    load_config("acl: []\n")

    lines = load_config(ACL)

    assert lines == ["+ rule developer may pull and push myorg/*", "1 added, 0 changed, 0 removed"]


def test_rules_about_the_same_names_are_told_apart(load_config: Import) -> None:
    both = ACL + '  - {account: developer, name: "myorg/*", actions: [delete]}\n'
    load_config(both)

    lines = load_config(both.replace("[delete]", '["*"]'))

    assert lines == ["~ rule developer may pull, push and delete myorg/*", "0 added, 1 changed, 0 removed"]
    assert set(Rule.objects.values_list("actions", flat=True)) == {"pull,push", "*"}


def test_what_an_administrator_edits_survives_an_import(load_config: Import) -> None:
    load_config(USERS + ACL)
    Account.objects.update(password="bcrypt$" + OTHER_HASH)
    Rule.objects.update(name="myorg/backend-*")

    lines = load_config(USERS + ACL)

    assert lines == ["0 added, 0 changed, 0 removed"]
    assert authenticate(username="developer", password="other") is not None
    assert Rule.objects.get().name == "myorg/backend-*"


def test_what_an_administrator_deletes_stays_deleted(load_config: Import) -> None:
    load_config(USERS + ACL)
    Account.objects.all().delete()
    Rule.objects.all().delete()

    lines = load_config(USERS + ACL)

    assert lines == ["0 added, 0 changed, 0 removed"]
    assert not Account.objects.exists()
    assert not Rule.objects.exists()


def test_an_entry_that_left_after_its_row_was_deleted_is_forgotten(load_config: Import) -> None:
    load_config(USERS + ACL)
    Account.objects.all().delete()
    Rule.objects.all().delete()

    lines = load_config("users: {}\nacl: []\n")

    assert lines == ["0 added, 0 changed, 0 removed"]
    assert load_config("users: {}\nacl: []\n", "--check") == ["0 to add, 0 to change, 0 to remove; 0 edited since"]


def test_a_deleted_account_is_made_again_when_its_entry_changes(load_config: Import) -> None:
    load_config(USERS)
    Account.objects.all().delete()

    lines = load_config(USERS.replace(HASH, OTHER_HASH))

    assert lines == ["+ user developer", "1 added, 0 changed, 0 removed"]


def test_a_deactivated_account_is_not_reactivated(load_config: Import) -> None:
    load_config(USERS)
    Account.objects.update(is_active=False)

    load_config(USERS)

    assert not developer().is_active


def test_a_deactivated_account_is_reactivated_when_its_entry_changes(load_config: Import) -> None:
    load_config(USERS)
    Account.objects.update(is_active=False)

    load_config(USERS.replace(HASH, OTHER_HASH))

    assert developer().is_active


def test_a_section_that_is_missing_is_not_managed(load_config: Import) -> None:
    load_config(USERS + ACL)

    lines = load_config("server: {}\n")

    assert lines == ["0 added, 0 changed, 0 removed"]
    assert developer().is_active
    assert Rule.objects.exists()


def test_rows_made_in_the_admin_are_never_touched(load_config: Import) -> None:
    Account.objects.create_user("somebody", "a long password")
    Rule.objects.create(subject="somebody", name="*", actions="pull")
    load_config(USERS + ACL)

    load_config("users: {}\nacl: []\n")

    assert Account.objects.get(name="somebody").is_active
    assert Rule.objects.get().subject == "somebody"


def test_a_name_made_in_the_admin_before_is_an_error_that_changes_nothing(load_config: Import) -> None:
    Account.objects.create_user("developer", "a long password")

    with pytest.raises(CommandError, match=r"config\.yaml:3: users\.developer: .*made in the admin"):
        load_config('acl: [{anonymous: true, name: "*", actions: [pull]}]\n' + USERS)

    assert not Rule.objects.exists()
    assert authenticate(username="developer", password="a long password") is not None


def test_a_name_made_in_the_admin_again_is_an_error_when_its_entry_changes(load_config: Import) -> None:
    load_config(USERS)
    Account.objects.all().delete()
    Account.objects.create_user("developer", "a long password")
    load_config(USERS)

    with pytest.raises(CommandError, match="made in the admin"):
        load_config(USERS.replace(HASH, OTHER_HASH))


def test_check_says_what_is_not_applied_and_changes_nothing(load_config: Import) -> None:
    lines = load_config(USERS + ACL, "--check", status=1)

    assert lines == [
        "+ user developer",
        "+ rule developer may pull and push myorg/*",
        "2 to add, 0 to change, 0 to remove; 0 edited since",
    ]
    assert not Account.objects.exists()
    assert not Rule.objects.exists()


def test_check_says_what_left_the_file(load_config: Import) -> None:
    load_config(USERS + ACL)

    lines = load_config("users: {}\nacl: []\n", "--check", status=1)

    assert lines == [
        "- user developer",
        "- rule developer may pull and push myorg/*",
        "0 to add, 0 to change, 2 to remove; 0 edited since",
    ]


def test_check_is_content_when_everything_is_applied(load_config: Import) -> None:
    load_config(USERS + ACL)

    lines = load_config(USERS + ACL, "--check")

    assert lines == ["0 to add, 0 to change, 0 to remove; 0 edited since"]


def test_check_reports_edited_rows_and_exits_0(load_config: Import) -> None:
    load_config(USERS + ACL)
    developer().groups.clear()
    Rule.objects.update(actions="pull")

    lines = load_config(USERS + ACL, "--check")

    assert lines == [
        "! user developer: edited since it was imported",
        "! rule developer may pull myorg/*: edited since it was imported",
        "0 to add, 0 to change, 0 to remove; 2 edited since",
    ]


def test_check_reports_deleted_rows(load_config: Import) -> None:
    load_config(USERS + ACL)
    Account.objects.all().delete()
    Rule.objects.all().delete()

    lines = load_config(USERS + ACL, "--check")

    assert lines[:2] == [
        "! user developer: deleted since it was imported",
        "! rule of account developer for myorg/*: deleted since it was imported",
    ]


def test_a_login_is_no_edit(load_config: Import) -> None:
    load_config(USERS)
    authenticate(username="developer", password="secret")
    Account.objects.update(last_login=Now())

    lines = load_config(USERS, "--check")

    assert lines == ["0 to add, 0 to change, 0 to remove; 0 edited since"]


def test_no_hash_is_ever_printed(load_config: Import) -> None:
    printed = load_config(USERS) + load_config(USERS.replace(HASH, OTHER_HASH), "--check", status=1)

    assert not re.search(r"\$2[aby]\$", "\n".join(printed))


def test_a_file_that_is_not_the_configuration_of_the_process_is_refused(load_config: Import, tmp_path: Path) -> None:
    load_config("server: {}\n")
    other = tmp_path / "other.yaml"
    other.write_text(USERS)

    with pytest.raises(CommandError, match="This process runs with"):
        call_command("loadconfig", str(other))
