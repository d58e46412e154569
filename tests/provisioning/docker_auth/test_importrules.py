"""`manage.py importrules`: published examples of docker_auth, what is refused, and a second run."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts import permissions_version
from accounts.authentication import identify
from accounts.identity import identity_of
from accounts.models import Account
from acl import grants
from acl.models import Rule
from audit.models import Event
from configuration import load
from configuration.values import Audit
from provisioning import importing
from provisioning.docker_auth.document import read
from tests.provisioning.docker_auth.model import allowed

pytestmark = pytest.mark.django_db

# Of the password `badmin`, as docker_auth's examples have it.
HASH = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC"

# The facts of `examples/reference.yml`: its users and the conditions and actions of its entries.
REFERENCE = f"""
server: {{addr: ":5001"}}
token: {{issuer: Acme auth server, expiration: 900}}
users:
  admin: {{password: "{HASH}"}}
  test: {{password: "{HASH}"}}
  "": {{}}
acl:
  - {{match: {{ip: 127.0.0.0/8}}, actions: ["*"], comment: here}}
  - {{match: {{ip: "::1"}}, actions: ["*"]}}
  - {{match: {{ip: 172.17.0.1}}, actions: ["*"]}}
  - {{match: {{account: admin}}, actions: ["*"]}}
  - {{match: {{account: test, name: test-*}}, actions: ["*"]}}
  - {{match: {{account: test}}, actions: []}}
  - {{match: {{account: /.+/, name: "${{account}}/*"}}, actions: ["*"]}}
  - {{match: {{account: /.+/, type: registry, name: catalog}}, actions: ["*"]}}
  - {{match: {{account: /.+/}}, actions: [pull]}}
  - {{match: {{account: "", name: hello-world}}, actions: [pull]}}
  - {{match: {{account: "/^(.+)@test.com$/", name: "${{account:1}}/*"}}, actions: []}}
  - {{match: {{labels: {{group: VIP}}}}, actions: [push]}}
  - {{match: {{labels: {{group: /trainee|dev/}}}}, actions: [push, pull]}}
  - {{match: {{name: "${{labels:group}}-shared/*"}}, actions: [push, pull]}}
  - {{match: {{name: "${{labels:project}}/*"}}, actions: [push, pull]}}
  - {{match: {{name: "${{labels:project}}-{{labels:tier}}/*"}}, actions: [push, pull]}}
"""
# Of `examples/simple.yml`: an administrator, and a user who pulls.
SIMPLE = f"""
users:
  admin: {{password: "{HASH}"}}
  test: {{password: "{HASH}"}}
acl:
  - {{match: {{account: admin}}, actions: ["*"]}}
  - {{match: {{account: test}}, actions: [pull]}}
"""
# Of `examples/ldap_auth.yml`: everybody has a place, the catalog and all pulls.
LDAP = """
ldap_auth: {addr: ldap.example.com:636, base: o=example.com}
acl:
  - {match: {account: admin}, actions: ["*"]}
  - {match: {account: /.+/, name: "${account}/*"}, actions: ["*"]}
  - {match: {account: /.+/, type: registry, name: catalog}, actions: ["*"]}
  - {match: {account: /.+/}, actions: [pull]}
"""
# Of `docs/Labels.md`: one person with labels, and entries with one and with several placeholders.
LABELS = f"""
users:
  busy-guy:
    password: "{HASH}"
    labels: {{group: [web, webdev], project: [website, api], tier: [frontend, backend]}}
  other: {{password: "{HASH}", labels: {{project: [website]}}}}
acl:
  - {{match: {{name: "${{labels:project}}/*"}}, actions: [push, pull]}}
  - {{match: {{name: "${{labels:project}}/${{labels:group}}-${{labels:tier}}"}}, actions: [delete]}}
  - {{match: {{name: "${{labels:project}}-x/${{labels:group}}-${{labels:tier}}"}}, actions: [pull]}}
"""
WORDS = [f"w{number}" for number in range(11)]
NAMES = ["hello-world", "test-a", "test/b", "admin/x", "admin/x/y", "other", "website/a", "api/web-frontend"]
NAMES += ["api-x/web-frontend", "website-x/webdev-backend", "team-shared/a"]


def run(tmp_path: Path, text: str, *options: str) -> tuple[str, str]:
    """Return what the command prints on standard output, and on standard error."""
    path, out, err = tmp_path / "auth_config.yml", StringIO(), StringIO()
    path.write_text(text)
    call_command("importrules", str(path), *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def refusals(tmp_path: Path, text: str, *options: str) -> str:
    err = StringIO()
    path = tmp_path / "auth_config.yml"
    path.write_text(text)
    with pytest.raises(CommandError, match="refused, and nothing is written"):
        call_command("importrules", str(path), *options, stderr=err)
    assert not Rule.objects.exists()
    assert not Account.objects.exists()
    return err.getvalue()


def decides_alike(text: str) -> None:
    document, version = read(text.encode()), permissions_version.current()
    for account in [*(user.name for user in document.users), ""]:
        identity = identity_of(account, version)
        assert identity is not None
        for address in ("127.0.0.1", "172.17.0.1", "192.0.2.1", "::1"):
            there = grants.located(identity, address, version)
            for name in NAMES:
                assert grants.actions_on(there, name, version) == allowed(document, account, name, address)


@pytest.mark.parametrize("text", [REFERENCE, SIMPLE, LDAP, LABELS])
def test_a_published_example_decides_as_there(tmp_path: Path, text: str) -> None:
    run(tmp_path, text)

    decides_alike(text)


def test_the_report_says_what_became_what(tmp_path: Path) -> None:
    out, err = run(tmp_path, REFERENCE)

    assert "+ user admin\n+ user test\n" in out
    assert "+ rule order 10: everybody may pull, push and delete * from 127.0.0.0/8, and nothing else" in out
    assert "+ rule order 50: test may pull, push and delete test-*([!/]), and nothing else" in out
    assert "+ rule order 60: test may not pull, push or delete *" in out
    assert "+ rule order 100: everybody may pull hello-world, and nothing else" in out
    assert "note: line 16: entry 8 of acl is left out: the catalog needs no rule here" in err
    assert "note: line 19: entry 11 of acl is left out" in err
    assert "note: line 2: server is not taken: set server.addr" in err
    assert identify("admin", "badmin") is not None


def test_a_second_run_changes_nothing(tmp_path: Path, settings: Settings) -> None:
    settings.REGISTRY = replace(settings.REGISTRY, audit=Audit())
    run(tmp_path, LABELS)
    before = permissions_version.current()

    out, _ = run(tmp_path, LABELS)

    assert out.endswith("no change\n")
    assert permissions_version.current() == before
    assert Event.objects.filter(kind="import").count() == 1


def test_a_dry_run_writes_nothing_and_says_the_same(tmp_path: Path) -> None:
    rehearsed, _ = run(tmp_path, LABELS, "--dry-run")
    assert (Rule.objects.count(), Account.objects.count(), Group.objects.count()) == (0, 0, 0)

    done, _ = run(tmp_path, LABELS)

    assert rehearsed.splitlines()[:-1] == done.splitlines()[:-1]


def test_the_printed_file_makes_the_same_rules(tmp_path: Path) -> None:
    for text in (REFERENCE, LABELS):
        printed, _ = run(tmp_path, text, "--yaml")
        (tmp_path / "config.yaml").write_text(printed)

        importing.apply(load(tmp_path / "config.yaml"))

        decides_alike(text)


def test_labels_become_groups(tmp_path: Path) -> None:
    run(tmp_path, LABELS)

    groups = Account.objects.get(name="other").groups.values_list("name", flat=True)
    assert list(groups) == ["project=website"]
    assert Rule.objects.filter(subject_kind="group", subject="project=website", name="website/*([!/])").exists()


def test_an_account_that_is_there_keeps_its_password(tmp_path: Path) -> None:
    Account.objects.create_user("test", "its own")

    _, err = run(tmp_path, SIMPLE)
    assert "the account test is there with another password, which stays" in err
    assert identify("test", "its own") is not None

    run(tmp_path, SIMPLE, "--replace")
    assert identify("test", "badmin") is not None


def test_rules_of_another_file_would_mix(tmp_path: Path) -> None:
    Rule.objects.create(subject="test", name="*", actions="push", order=1)

    with pytest.raises(CommandError, match=r"order 1: test may push .*--replace"):
        run(tmp_path, SIMPLE)
    assert not Account.objects.exists()

    out, _ = run(tmp_path, SIMPLE, "--replace")
    assert "- rule order 1: test may push *, and nothing else" in out
    decides_alike(SIMPLE)


def test_other_rules_are_told(tmp_path: Path) -> None:
    Rule.objects.create(subject="*", name="*", actions="pull")

    _, err = run(tmp_path, SIMPLE)

    assert "1 rules without an order are there" in err


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('{match: {account: "/^(.+)@x$/", name: "${account:1}/*"}, actions: []}', "${account:1} has no counterpart"),
        ('{match: {name: "/^(ab)+$/"}, actions: []}', "repeats more than one character"),
        ('{match: {name: "/(?i)web/"}, actions: []}', "has a flag"),
        ('{match: {name: "/a^b/"}, actions: []}', "has ^ or $ within it"),
        ('{match: {name: "/(/"}, actions: []}', "without a )"),
        ('{match: {name: "/a**/"}, actions: []}', "repeats a repetition"),
        (r'{match: {name: "/\\bweb/"}, actions: []}', "has \\b"),
        ('{match: {name: "/(a|b)(c|d)(e|f)(gg|h)(ii|j)(kk|l)(mm|n)(oo|p)(qq|r)(ss|t)/"}, actions: []}', "alternatives"),
        ('{match: {name: "/^[[:^cntrl:]]$/"}, actions: []}', "has [:^cntrl:] within [ ]"),
        ('{match: {name: "/^[a[:]$/"}, actions: []}', "has [: within [ ]"),
        ('{match: {name: "/^[[.a.]]$/"}, actions: []}', "has [. within [ ]"),
        ('{match: {name: "/^[[=a=]]$/"}, actions: []}', "has [= within [ ]"),
        ('{match: {name: "/^a{1,1000}$/"}, actions: []}', "alternatives"),
        ('{match: {name: "/^a{1001}$/"}, actions: []}', "more than 1000 times"),
        (f'{{match: {{name: "/^a{{{"9" * 5000}}}$/"}}, actions: []}}', "more than 1000 times"),
        ('{match: {name: "/^a{02}$/"}, actions: []}', "a zero before it"),
        ('{match: {name: "/^Web$/"}, actions: []}', "no repository's name matches /^Web$/"),
        ('{match: {account: "/^a!$/"}, actions: []}', "no account's name matches /^a!$/"),
        ('{match: {name: "*[^a]/x"}, actions: []}', "a class that matches /"),
        ('{match: {name: "[${account}]"}, actions: []}', "${account} within [ ]"),
        ("{match: {ip: 10.0.0.0/33}, actions: []}", "is no address or network"),
        ("{match: {ip: 10.0.0.0/255.0.0.0}, actions: []}", "is no address or network"),
        ('{match: {service: "x"}, actions: []}', "by --service"),
        (f"{{match: {{name: '/{'(' * 3000}/'}}, actions: []}}", "nested too deeply"),
        ("{match: {name: '${labels:a}${labels:c}${labels:d}${labels:e}'}, actions: []}", "more than 1000 combinations"),
        ("{match: {email: x}, actions: []}", "'email' is no key of match"),
        ("{match: {name: x}}", "no actions"),
        ("{actions: []}", "no match"),
        ("{match: , actions: []}", "no match"),
        ("{match: {name: [x]}, actions: []}", "a string is expected"),
        ("{match: {name: x, name: y}, actions: []}", "twice"),
        ('{match: {labels: {a: "${account}"}}, actions: []}', "no counterpart"),
        ('{match: {name: "/${labels:a}/"}, actions: []}', "within a regular expression"),
        ('{match: {name: "${labels:b}/*"}, actions: []}', "has other characters"),
    ],
)
def test_what_rules_cannot_say_is_refused_by_name(tmp_path: Path, entry: str, reason: str) -> None:
    labels = f'{{a: [b], b: ["x*"], c: {WORDS}, d: {WORDS}, e: {WORDS}}}'
    text = f'users:\n  u: {{password: "{HASH}", labels: {labels}}}\nacl:\n  - {entry}\n'

    assert reason in (told := refusals(tmp_path, text))
    assert "refused: line 4" in told


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("guest: {}", "any password"),
        ("guest: {password: secret}", "not a bcrypt hash"),
        ('"a b": {password: "x"}', "rename it"),
        ("guest: {password: x, email: y}", "no key of a user"),
    ],
)
def test_a_user_who_cannot_be_taken_is_refused(tmp_path: Path, user: str, reason: str) -> None:
    assert reason in refusals(tmp_path, f"users:\n  {user}\nacl: []\n")


def test_labels_of_people_of_another_method_are_refused(tmp_path: Path) -> None:
    users = f'ldap_auth: {{}}\nusers:\n  u: {{password: "{HASH}"}}\n'
    text = users + "acl:\n  - {match: {labels: {a: b}}, actions: []}\n"

    assert "the labels of the people of ldap_auth are not in this file" in refusals(tmp_path, text)


def test_without_an_anonymous_user_nobody_is_let_in_without_a_login(tmp_path: Path) -> None:
    run(tmp_path, f'users:\n  u: {{password: "{HASH}"}}\n  "":\nacl:\n  - {{match: {{}}, actions: ["*"]}}\n')

    assert not Rule.objects.filter(subject_kind="anonymous").exists()


def test_an_entry_for_another_service_is_left_out(tmp_path: Path) -> None:
    text = f"{SIMPLE}  - {{match: {{service: other}}, actions: ['*']}}\n"

    _, err = run(tmp_path, text, "--service", "registry")

    assert "it is for the service 'other'" in err
    decides_alike(SIMPLE)


@pytest.mark.parametrize("content", [b"\xff", b"[", b"- a", b"a: &a [*a]\nusers: x", b"{" * 5000])
def test_what_is_no_such_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "auth_config.yml"
    path.write_bytes(content)

    with pytest.raises(CommandError, match=r"auth_config\.yml: "):
        call_command("importrules", str(path), stderr=StringIO())
