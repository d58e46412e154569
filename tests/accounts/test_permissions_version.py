"""The permissions version differs after every change of rights, whoever makes it and however."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import permissions_version
from accounts.models import Account, FailedLogin, RightsEpoch
from acl.models import Rule
from core.db import setup
from tests.caller import Caller
from tests.conftest import PASSWORDS


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def triggers_of(table: str) -> set[str]:
    """Return the names of the triggers that replace the version with a change of `table`."""
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal",
    }
    with connection.cursor() as cursor:
        cursor.execute(query[connection.vendor], [table])
        return {name for (name,) in cursor.fetchall()}


def a_rule(name: str = "new/*") -> Rule:
    return Rule(subject_kind="account", subject="alice", name=name, actions="pull")


def save_a_password() -> None:
    account = Account.objects.get(name="alice")
    account.set_password("another")
    account.save(update_fields=["password"])


def change_by_orm_save() -> None:
    rule = Rule.objects.all()[0]
    rule.actions = "pull,push"
    rule.save()


WAYS: dict[str, Callable[[], object]] = {
    "rule saved": change_by_orm_save,
    "rule created": lambda: a_rule().save(),
    "rules created in bulk": lambda: Rule.objects.bulk_create([a_rule("a"), a_rule("b")]),
    "rule updated by a query": lambda: Rule.objects.filter(subject="bob").update(actions="pull,push"),
    "rules updated in bulk": lambda: Rule.objects.bulk_update(list(Rule.objects.all()), ["name"]),
    "rule deleted": lambda: Rule.objects.filter(subject="bob").first().delete(),  # type: ignore[union-attr]
    "rules deleted by a query": lambda: Rule.objects.all().delete(),
    "rules deleted in raw SQL": lambda: execute("DELETE FROM acl_rule"),
    "rules deleted past signals": lambda: Rule.objects.all()._raw_delete("default"),
    "rule inserted in raw SQL": lambda: execute(
        "INSERT INTO acl_rule (subject_kind, subject, name, actions, comment, created_at) "
        "VALUES ('account', 'bob', '*', 'pull', '', '2026-01-01 00:00:00+00')"
    ),
    "rule updated in raw SQL": lambda: execute("UPDATE acl_rule SET name = '*'"),
    "account created": lambda: Account.objects.create(name="dora"),
    "account deactivated by a query": lambda: Account.objects.filter(name="bob").update(is_active=False),
    "account deactivated in raw SQL": lambda: execute("UPDATE accounts_account SET is_active = NOT is_active"),
    "account renamed": lambda: Account.objects.filter(name="bob").update(name="robert"),
    "account deleted": lambda: Account.objects.get(name="bob").delete(),
    "password changed": save_a_password,
    "superuser made": lambda: Account.objects.filter(name="bob").update(is_superuser=True),
    "staff made": lambda: Account.objects.filter(name="bob").update(is_staff=True),
    "group joined": lambda: Account.objects.get(name="bob").groups.add(Group.objects.get(name="team")),
    "groups left": lambda: Account.objects.get(name="alice").groups.set([]),
    "members removed from the other side": lambda: Group.objects.get(name="team").user_set.set([]),
    "group renamed": lambda: Group.objects.filter(name="team").update(name="crew"),
    "group deleted": lambda: Group.objects.filter(name="team").delete(),
    "membership deleted in raw SQL": lambda: execute("DELETE FROM accounts_account_groups"),
}


@pytest.fixture(autouse=True)
def _team(cast: None) -> None:
    """Put alice into a group."""
    Account.objects.get(name="alice").groups.add(Group.objects.create(name="team"))


@pytest.mark.parametrize("way", WAYS)
def test_every_change_of_rights_changes_the_epoch(way: str) -> None:
    before = permissions_version.current()

    WAYS[way]()

    assert permissions_version.current() != before


def test_a_truncated_table_changes_the_epoch() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no TRUNCATE")
    before = permissions_version.current()

    execute("TRUNCATE acl_rule")

    assert permissions_version.current() != before


def log_in_to_the_admin() -> None:
    assert Client().login(username="alice", password=PASSWORDS["alice"])


NO_CHANGES: dict[str, Callable[[], object]] = {
    "an admin's login": log_in_to_the_admin,
    "the time of a login": lambda: Account.objects.filter(name="bob").update(last_login=timezone.now()),
    "a token": lambda: Caller(Client(), "alice", PASSWORDS["alice"]).token("repository:alice/app:pull"),
    "a failed login": lambda: Client().login(username="alice", password="wrong"),
    "a counted failure": lambda: FailedLogin.objects.create(account="a", network="", forgiven_at=timezone.now()),
    "reading accounts": lambda: list(get_user_model().objects.all()),
    "reading rules": lambda: list(Rule.objects.all()),
    "reading the version": permissions_version.current,
}


@pytest.mark.parametrize("way", NO_CHANGES)
def test_what_is_no_change_of_rights_leaves_the_epoch(way: str) -> None:
    before = permissions_version.current()

    NO_CHANGES[way]()

    assert permissions_version.current() == before


def test_a_change_that_is_rolled_back_never_was() -> None:
    before = permissions_version.current()
    with transaction.atomic():
        a_rule().save()
        inside = permissions_version.current()
        transaction.set_rollback(True)

    assert inside != before
    assert permissions_version.current() == before


def test_an_epoch_never_comes_again() -> None:
    seen = {permissions_version.current()}
    for _ in range(20):
        with transaction.atomic():
            a_rule().save()
            seen.add(permissions_version.current())
            transaction.set_rollback(True)

    assert len(seen) == 21


def test_migrating_again_keeps_one_epoch_and_renews_its_value() -> None:
    before = permissions_version.current()

    permissions_version.ensure()
    call_command("migrate", verbosity=0)

    assert permissions_version.current() != before
    assert RightsEpoch.objects.count() == 1


def test_a_start_makes_triggers_that_are_missing_though_no_migration_is() -> None:
    """A crash may come between a migration and its handlers."""
    before = triggers_of("acl_rule")
    on_table = " ON acl_rule" if connection.vendor == "postgresql" else ""
    execute(f"DROP TRIGGER rights_epoch_acl_rule_insert{on_table}")

    applied = setup.migrate()

    assert applied == []
    assert triggers_of("acl_rule") == before


@pytest.mark.parametrize("table", ["acl_rule", "accounts_account", "accounts_account_groups", "auth_group"])
def test_a_replacement_of_triggers_that_fails_leaves_the_old_ones(table: str) -> None:
    """The second trigger fails: neither it nor the first, which had been replaced by then, is missing afterwards."""
    created = []

    def fail_at_the_second(execute: Callable[..., object], sql: str, *arguments: object) -> object:
        if sql.startswith("CREATE TRIGGER"):
            created.append(sql)
            if len(created) == 2:
                raise OperationalError("cut off")
        return execute(sql, *arguments)

    before = triggers_of(table)
    with connection.execute_wrapper(fail_at_the_second), pytest.raises(OperationalError):
        permissions_version.watch("default", table)

    assert triggers_of(table) == before
    assert len(before) >= 3


def test_without_an_epoch_no_rights_are_judged() -> None:
    caller = Caller(Client(), "alice", PASSWORDS["alice"])
    token = caller.token("repository:alice/app:pull")
    RightsEpoch.objects.all().delete()

    assert caller.get("/v2/alice/app/manifests/v1", token=token).status_code == 500
    with pytest.raises(permissions_version.MissingVersionError):
        permissions_version.current()
