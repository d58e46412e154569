"""`manage.py deleterepository`."""

import io
import sys
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from collector.jobs.shutdown import Stopper
from collector.management.commands import deleterepository
from core import progress
from distribution import deletion
from distribution.models import Manifest, Repository
from tests.caller import Caller
from tests.collector.test_progress import Terminal
from tests.images import Image

APP = "alice/app"
Push = Callable[..., Image]

pytestmark = pytest.mark.usefixtures("image")


@pytest.fixture
def image(push: Push) -> Image:
    """Have an image in alice/app, and another one that shares a layer with it."""
    push(APP, "v1", b"own" * 1024)
    push(APP, "v2", b"shared" * 1024)
    return push("alice/other", "v1", b"shared" * 1024)


def delete(*arguments: str) -> str:
    """Run the command and return what it printed."""
    output = io.StringIO()
    call_command("deleterepository", *arguments, stdout=output)
    return output.getvalue()


def test_a_dry_run_says_what_would_go_and_changes_nothing() -> None:
    said = delete(APP, "--dry-run")

    assert f"{APP} has 2 tags, 2 manifests, 6.0 KiB of its own and 12.0 KiB that others share" in said
    assert "Nothing was changed." in said
    assert Repository.objects.filter(name=APP).exists()


def test_a_repository_is_deleted_and_its_bytes_come_back_later(alice: Caller) -> None:
    said = delete(APP)

    assert "Its contents are removed." in said
    assert "A running server frees its 6.0 KiB in 15 minutes" in said
    assert [row.name for row in Repository.objects.all()] == ["alice/other"]
    assert alice.get("/v2/alice/other/manifests/v1").status_code == 200


def test_one_tag_is_no_tags() -> None:
    assert "alice/other has 1 tag, 1 manifest, " in delete("alice/other", "--dry-run")


def test_a_name_that_is_not_there_is_answered_with_names_that_are() -> None:
    with pytest.raises(CommandError, match=r"no repository alice/ap\. Did you mean alice/app"):
        delete("alice/ap")


def test_what_is_no_name_at_all_is_not_there_either() -> None:
    with pytest.raises(CommandError, match=r"no repository !1 \?"):
        delete("!1 ?")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    """Sit at a terminal, type an answer, and return the screen on which progress is shown."""

    def sit(answer: str) -> Terminal:
        screen, keyboard = Terminal(), Terminal(answer)
        monkeypatch.setattr(sys, "stdin", keyboard)
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return sit


@pytest.mark.parametrize("answer", ["\n", "n\n", "perhaps\n"])
def test_a_person_who_does_not_agree_deletes_nothing(terminal: Callable[[str], Terminal], answer: str) -> None:
    terminal(answer)

    said = delete(APP)

    assert said.endswith("Nothing was changed.\n")
    assert Manifest.objects.filter(repository__name=APP).count() == 2


@pytest.mark.parametrize(("answer", "flags"), [("y\n", ()), ("", ("--yes",))])
def test_a_person_who_agrees_sees_a_bar(
    terminal: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch, answer: str, flags: tuple[str, ...]
) -> None:
    monkeypatch.setattr(progress, "TERMINAL_SECONDS", 0)
    screen = terminal(answer)

    delete(APP, *flags)

    assert "100%, 8 of 8 rows" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_a_deletion_that_is_told_to_stop_is_left_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Stopper):
        def __init__(self) -> None:
            super().__init__(max_seconds=0)

    monkeypatch.setattr(deleterepository, "Stopper", Told)

    with pytest.raises(CommandError, match="the server removes the rest"):
        delete(APP)

    assert not Repository.objects.filter(name=APP).exists()
    assert deletion.unfinished().exists()
