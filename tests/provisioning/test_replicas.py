"""Replicas with different files on one database: the newest import stays, whichever of them restarts."""

import socket
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path

import bcrypt
import pytest
from django.core.management import call_command
from pytest_django import Settings

from accounts.models import Account
from configuration import load
from provisioning import importing
from provisioning.models import ImportedFile
from provisioning.outcome import Outcome
from provisioning.precedence import MAX_RECORDS

pytestmark = pytest.mark.django_db

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()

Start = Callable[..., Outcome]


def users(*names: str) -> str:
    """Return a file with these users."""
    return "".join(["users:\n", *(f'  {name}: {{password: "{HASH}"}}\n' for name in names)])


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Import a text as a replica does that starts with it, by the name of its host."""

    def run(host: str, text: str, *, is_forced: bool = False) -> Outcome:
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        (tmp_path / "config.yaml").write_text(text)
        return importing.apply(load(tmp_path / "config.yaml"), is_forced=is_forced)

    return run


def active() -> set[str]:
    """Return the names of the accounts that may log in."""
    return set(Account.objects.filter(is_active=True).values_list("name", flat=True))


def test_a_restart_with_an_old_file_imports_nothing_and_names_both_files(start: Start, tmp_path: Path) -> None:
    start("web1", users("ann"))
    start("web2", users("ben"))

    again = start("web1", users("ann"))

    assert active() == {"ben"}
    assert again.steps == ()
    for host, record in zip(("web1", "web2"), ImportedFile.objects.order_by("pk"), strict=True):
        assert f"{host}:{tmp_path}/config.yaml (fingerprint {record.fingerprint[:12]}, " in again.superseded


def test_restarts_in_turn_change_nothing(start: Start) -> None:
    start("web1", users("ann"))
    start("web2", users("ben"))

    for _ in range(2):
        start("web1", users("ann"))
        start("web2", users("ben"))

        assert active() == {"ben"}


def test_the_newer_import_says_what_it_replaces(start: Start, tmp_path: Path) -> None:
    start("web1", users("ann"))

    newer = start("web2", users("ben"))

    assert f"; replaces web1:{tmp_path}/config.yaml (fingerprint " in newer.summary()
    assert not newer.is_applied_already


def test_a_file_that_has_changed_is_the_newest_even_if_it_is_as_before(start: Start) -> None:
    start("web1", users("ann"))
    start("web1", users("ann", "ben"))

    assert start("web1", users("ann")).superseded == ""
    assert active() == {"ann"}


def test_a_changed_file_replaces_a_newer_one(start: Start) -> None:
    start("web1", users("ann"))
    start("web2", users("ben"))

    start("web1", users("ann", "cat"))

    assert active() == {"ann", "cat"}
    assert start("web2", users("ben")).superseded


def test_equal_files_supersede_nothing(start: Start) -> None:
    first, second = users("ann", "ben"), "# the same\n" + users("ben", "ann")
    start("web1", first)
    start("web2", second)

    again = start("web1", first)

    assert (again.superseded, again.replaced) == ("", "")
    assert active() == {"ann", "ben"}


def test_a_file_that_another_replica_took_over_is_newer_than_what_it_had_before(start: Start) -> None:
    start("web1", users("ann"))
    start("web2", users("ben"))
    start("web1", users("ben"))

    assert start("web2", users("ben")).superseded == ""
    assert start("web3", users("ann")).replaced.startswith("web1:")


def test_new_content_of_a_host_that_is_new_is_the_newest(start: Start) -> None:
    start("web1", users("ann"))
    start("web2", users("ben"))

    start("web3", users("eve"))

    assert active() == {"eve"}


def test_a_file_without_users_and_rules_is_nobody_s_competitor(start: Start) -> None:
    start("web1", users("ann"))

    start("web2", "server: {workers: 1}\n")

    assert ImportedFile.objects.get().place.startswith("web1:")


def test_a_superseded_file_with_a_mistake_stops_no_start(start: Start) -> None:
    start("web1", users("ann"))
    start("web2", "users: {}\n")
    Account.objects.all().delete()
    Account.objects.create(name="ann")

    assert start("web1", users("ann")).superseded


def test_only_the_latest_files_are_remembered(start: Start) -> None:
    for number in range(MAX_RECORDS + 2):
        start(f"pod{number}", users("ann"))

    places = [place.partition(":")[0] for place in ImportedFile.objects.order_by("pk").values_list("place", flat=True)]
    assert places == [f"pod{number}" for number in range(2, MAX_RECORDS + 2)]


def load_config(settings: Settings, path: Path, *options: str) -> str:
    """Run the command and return what it prints on both outputs."""
    settings.REGISTRY = load(path)
    out = StringIO()
    # With --check the exit status tells whether something is not applied.
    with suppress(SystemExit):
        call_command("loadconfig", str(path), *options, stdout=out, stderr=out)
    return out.getvalue()


def test_the_command_imports_a_superseded_file_all_the_same(start: Start, tmp_path: Path, settings: Settings) -> None:
    start("web2", users("ben"))
    start("web1", users("ann"))
    start("web2", users("cat"))
    start("web1", users("ann"))

    said = load_config(settings, tmp_path / "config.yaml")

    assert "; replaces web2:" in said
    assert active() == {"ann"}


def test_a_check_says_that_a_file_is_superseded(start: Start, tmp_path: Path, settings: Settings) -> None:
    start("web1", users("ann"))
    start("web2", users("ben"))
    start("web1", users("ann"))

    said = load_config(settings, tmp_path / "config.yaml", "--check")

    assert "warning: users and rules are not imported from web1:" in said
    assert active() == {"ben"}


def test_an_old_container_that_is_made_anew_imports_nothing(start: Start) -> None:
    start("old-pod", users("ann", "mallory"))
    start("new-pod", users("ann"))

    again = start("old-pod-made-anew", users("ann", "mallory"))

    assert active() == {"ann"}
    assert "old-pod:" in again.superseded
