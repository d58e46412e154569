"""`manage.py importusers`: the accounts of an htpasswd file."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.authentication import identify
from accounts.models import Account

pytestmark = pytest.mark.django_db

# Of the passwords `wonderland` and `builder`.
ALICE = "alice:$2y$04$7O45hj5Bx10mx3mrcGmLOebZ.V49OxwKNqPAsvyOt4b6FfQKtg1ZK"
BOB = "bob:$2y$04$FJRbiyCvWo30WlTu8e1J5O3e9dhDQRVSEuRyhyGqxj9lYoFzh9mzC"


def run(tmp_path: Path, text: str, *options: str, refuses: bool = False) -> tuple[list[str], list[str]]:
    """Return the lines of standard output, and of standard error."""
    path, out, err = tmp_path / "htpasswd", StringIO(), StringIO()
    path.write_text(text)
    if refuses:
        with pytest.raises(SystemExit):
            call_command("importusers", str(path), *options, stdout=out, stderr=err)
    else:
        call_command("importusers", str(path), *options, stdout=out, stderr=err)
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def test_bcrypt_hashes_are_taken_over(tmp_path: Path) -> None:
    out, err = run(tmp_path, f"# people\n{ALICE}\n\n{BOB}\n", "--group", "developers")

    assert out[:-1] == [
        "+ user alice",
        "+ alice in the group developers",
        "+ user bob",
        "+ bob in the group developers",
    ]
    assert err == []
    assert identify("alice", "wonderland") is not None
    assert identify("alice", "builder") is None
    assert Account.objects.get(name="bob").password.endswith(BOB.partition(":")[2])


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path, ALICE, "--group", "developers")

    out, _ = run(tmp_path, ALICE, "--group", "developers")

    assert out == [f"{tmp_path}/htpasswd: 0 changes, 0 lines refused"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("carol:$apr1$tXoTsfRC$Z0hoWXiq2Z0qPvbvMBdpG0", "the user 'carol': its password is MD5, and not bcrypt"),
        ("carol:{SHA}2kuSN7rMzfGcB2DKt67EqDWQELA=", "its password is SHA-1, and not bcrypt"),
        ("carol:rl.3StKT.4T8M", "its password is crypt or plain text"),
        ("carol:$2y$05$short", "its password is not a bcrypt hash"),
        ("carol:$2y$31$" + "a" * 53, "its password is not a cost from 4 to 16"),
        ("carol", "no colon"),
        ("a b:x", "the user 'a b': a name of at most 128"),
        (":x", "the user '': a name of at most 128"),
        (ALICE, "'alice' is there twice"),
    ],
)
def test_a_line_that_cannot_be_taken_is_named(tmp_path: Path, line: str, reason: str) -> None:
    out, err = run(tmp_path, f"{ALICE}\n{line}\n", refuses=True)

    assert err[0].startswith("refused: line 2: ")
    assert reason in err[0]
    assert "\n" not in err[0]
    assert out[-1].endswith("1 changes, 1 lines refused")
    assert Account.objects.count() == 1


def test_an_account_that_is_there_stays_unless_it_is_replaced(tmp_path: Path) -> None:
    account = Account.objects.create_user("alice", "its own")

    out, _ = run(tmp_path, ALICE, "--group", "developers")
    assert out[0] == "! user alice: is there and has another password, and stays as it is"
    assert identify("alice", "its own") is not None
    assert not account.groups.exists()

    out, _ = run(tmp_path, ALICE, "--group", "developers", "--replace")
    assert out[:-1] == ["~ user alice", "+ alice in the group developers"]
    assert identify("alice", "wonderland") is not None


def test_a_robot_and_an_account_of_a_provider_never_get_a_password(tmp_path: Path) -> None:
    Account.objects.create(name="alice", is_robot=True, password="!")
    Account.objects.create(name="bob", provider="ldap", password="!")

    out, _ = run(tmp_path, f"{ALICE}\n{BOB}", "--replace")

    assert [line[:2] for line in out[:-1]] == ["! ", "! "]
    assert set(Account.objects.values_list("password", flat=True)) == {"!"}


def test_no_such_file_or_group_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("importusers", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="no group can be called ' '"):
        run(tmp_path, ALICE, "--group", " ")
