"""Why somebody may do something, or not: the rules that allow it, and those that come close."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.identity import ANONYMOUS, Identity
from accounts.models import Account
from acl.explanation import Explanation, explain
from acl.models import Rule
from acl.rules import compile_rules
from tests import documents
from tests.acl.test_rules import Row
from tests.caller import Caller
from tests.conftest import PASSWORDS

ALICE = Identity("alice")
DORA = Identity("dora", frozenset({"developers"}))


def explained(identity: Identity, name: str, action: str, *rows: Row) -> Explanation:
    return explain(compile_rules(rows), identity, name, action)


def test_each_rule_that_allows_is_named() -> None:
    rows = (
        Row("account", "dora", "app/*", "pull"),
        Row("group", "developers", "app/*", "pull,push"),
        Row("anonymous", "", "app/*", "pull"),
        Row("account", "dora", "lib/*", "pull"),
    )

    found = explained(DORA, "app/web", "pull", *rows)

    assert found.is_allowed
    assert found.decision == "dora may pull app/web"
    assert found.rules == (
        "dora may pull app/*",
        "the group developers may pull and push app/*",
        "everybody may pull app/*",
    )


@pytest.mark.parametrize(
    ("identity", "row", "said"),
    [
        (ALICE, Row("account", "alice", "app/*", "pull"), "alice may pull app/*, but not push"),
        (ALICE, Row("account", "bob", "app/*", "push"), "bob may push app/*, but this is alice"),
        (ALICE, Row("group", "ops", "app/*", "push"), "the group ops may push app/*, but alice is not a member"),
        (ALICE, Row("account", "alice", "app", "push"), "alice may push app, which does not match app/web"),
        (ANONYMOUS, Row("account", "*", "app/*", "push"), "everyone signed in may push app/*, but nobody is signed in"),
        (
            ALICE,
            Row("account", "ci-*", "*", "*"),
            "an account like ci-* may pull, push and delete *, but this is alice",
        ),
    ],
)
def test_a_rule_that_comes_close_says_what_it_lacks(identity: Identity, row: Row, said: str) -> None:
    found = explained(identity, "app/web", "push", row)

    assert not found.is_allowed
    assert found.rules == (said,)


def test_a_rule_about_the_own_name_of_others_does_not_come_close() -> None:
    found = explained(ANONYMOUS, "alice/app", "pull", Row("account", "*", "${account}/*", "pull"))

    assert str(found) == "anonymous may not pull alice/app: no rule comes close"


def test_of_many_rules_that_come_close_the_most_alike_are_named() -> None:
    rows = [Row("account", "alice", f"team/{number}/x", "push") for number in range(9)]
    rows.append(Row("account", "alice", "team/app/y", "push"))

    found = explained(ALICE, "team/app/x", "push", *rows)

    assert len(found.rules) == 3
    assert found.rules[0] == "alice may push team/app/y, which does not match team/app/x"


@pytest.mark.usefixtures("cast")
def test_the_command_prints_the_decision_and_its_rules(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("explain", "alice", "alice/app", "push")

    assert capsys.readouterr().out == "alice may push alice/app: by\n  alice may pull, push and delete alice/*\n"


@pytest.mark.usefixtures("cast")
def test_the_command_ends_with_1_when_it_is_not_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("explain", "bob", "alice/app", "push")

    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "bob may not push alice/app: no rule allows it; these come close",
        "  bob may pull alice/*, but not push",
    ]


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    ("account", "repository", "said"),
    [
        ("alcie", "alice/app", "there is no account 'alcie'; did you mean alice?"),
        ("alice", "Alice/App", "'Alice/App' is not a repository name: "),
    ],
)
def test_the_command_names_what_is_wrong(account: str, repository: str, said: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("explain", account, repository, "pull")

    assert str(error.value).startswith(said)


@pytest.mark.usefixtures("cast")
def test_a_deactivated_account_is_said_to_be_one() -> None:
    Account.objects.filter(name="bob").update(is_active=False)

    with pytest.raises(CommandError, match="the account bob is deactivated"):
        call_command("explain", "bob", "alice/app", "pull")


@pytest.mark.parametrize(
    ("caller", "query", "status"),
    [
        ("alice", "repository=alice/app&action=push", 200),
        ("alice", "account=bob&repository=alice/app&action=push", 403),
        ("charlie", "account=bob&repository=alice/app&action=push", 200),
        ("charlie", "account=nobody&repository=alice/app&action=push", 404),
        ("alice", "repository=alice/app&action=fly", 400),
        ("alice", "repository=Alice&action=pull", 400),
        ("alice", "action=pull", 400),
    ],
)
@pytest.mark.usefixtures("cast")
def test_the_api_explains_the_own_account_and_others_to_an_administrator(caller: str, query: str, status: int) -> None:
    Account.objects.filter(name="charlie").update(is_superuser=True)
    authorization = Caller(Client(), caller, PASSWORDS[caller]).basic
    answer = Client().get(f"/api/v1/explain?{query}", headers={"Authorization": authorization})

    assert answer.status_code == status, answer.content
    if status == 200:
        allowed = "account=bob" not in query
        document = json.loads(answer.content)
        assert document["allowed"] is allowed
        assert document["rules"][0].startswith("alice may" if allowed else "bob may pull alice/*, but not push")


@pytest.mark.usefixtures("cast")
def test_the_example_of_the_document_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    Account.objects.create(name="developer", password="x")
    Rule.objects.create(subject="developer", name="myorg/app", actions="pull")
    _, *arguments = documents.block("docs/troubleshooting.md", "explain").split()

    with pytest.raises(SystemExit):
        call_command(*arguments)

    assert capsys.readouterr().out == documents.block("docs/troubleshooting.md", "explained")


def test_a_denial_is_explained_by_its_rules() -> None:
    rows = (Row("account", "dora", "app/*", "pull,push"), Row("anonymous", "", "app/web", "push", is_deny=True))

    found = explained(DORA, "app/web", "push", *rows)

    assert not found.is_allowed
    assert str(found) == (
        "dora may not push app/web: denied, whatever else is allowed, by\n  everybody may not push app/web"
    )


def test_the_first_in_order_is_explained() -> None:
    rows = (Row("account", "dora", "app/*", "pull", order=1), Row("account", "*", "*", "push", order=2))

    assert str(explained(DORA, "app/web", "push", *rows)) == (
        "dora may not push app/web: the first in order decides\n  order 1: dora may pull app/*, and nothing else"
    )
    assert explained(DORA, "app/web", "pull", *rows).rules == ("order 1: dora may pull app/*, and nothing else",)
    assert explained(DORA, "other", "push", *rows).is_allowed


def test_a_tag_is_explained() -> None:
    rules = compile_rules(
        [Row("account", "alice", "app", "push", tags="v*"), Row("account", "*", "app", "push", True, "v1")]
    )

    assert explain(rules, ALICE, "app", "push", tag="v2").rules == ("alice may push app, but push only tags v*",)
    assert explain(rules, ALICE, "app", "push", tag="v1").is_denied
    assert explain(rules, ALICE, "app", "push", tag="w").rules == (
        "alice may push app, but push only tags v*, but not this tag",
    )
    assert explain(rules, ALICE, "app", "push").rules == (
        "alice may push app, but push only tags v*",
        "everyone signed in may not push tags v1 of app",
    )


def test_a_rule_for_elsewhere_or_the_past_comes_close() -> None:
    ended = datetime(2020, 1, 1, tzinfo=UTC)
    rows = [
        Row("account", "alice", "app", "pull", networks="10.0.0.0/8"),
        Row("account", "alice", "app", "pull", until=ended),
    ]
    rules = compile_rules(rows).at(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
    there = replace(ALICE, networks=rules.networks_of("192.0.2.1"))

    assert explain(rules, there, "app", "pull", address="192.0.2.1").rules == (
        "alice may pull app from 10.0.0.0/8, but this is 192.0.2.1",
        "alice may pull app until 2019-12-31, which has ended",
    )
    assert explain(rules, ALICE, "app", "pull").rules[0].endswith("but the address is not known")


@pytest.mark.django_db
def test_the_command_takes_a_tag_and_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    Account.objects.create(name="alice")
    conditions = {"tags": "v*", "networks": "10.0.0.0/8"}
    Rule.objects.create(subject_kind="account", subject="alice", name="app", actions="push", **conditions)

    call_command("explain", "alice", "app", "push", "--tag", "v1", "--address", "10.1.2.3")

    assert capsys.readouterr().out.startswith("alice may push app:v1 from 10.1.2.3: by\n")
    with pytest.raises(SystemExit):
        call_command("explain", "alice", "app", "push", "--tag", "v1")
    with pytest.raises(CommandError, match="no IP address"):
        call_command("explain", "alice", "app", "push", "--address", "here")
