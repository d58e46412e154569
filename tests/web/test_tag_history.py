"""The history of a tag on its page, the way back, and the tags that were deleted."""

from collections.abc import Callable

import pytest
from django.test import Client

from acl.models import Rule
from audit.kinds import Kind
from distribution.models import Tag, TagMove
from distribution.storage import disk_reserve
from distribution.storage.disk_reserve import Space
from tests.audit.conftest import Written
from tests.caller import Caller
from tests.images import Image, digest_of, put_manifest
from tests.web.test_pages import signed_in, text_of

Push = Callable[..., Image]
PAGE = "/repositories/alice/app"
HISTORY, ROLL_BACK = f"{PAGE}/-/v1/history", f"{PAGE}/-/v1/rollback"


@pytest.fixture
def moved(push: Push) -> tuple[Image, Image]:
    """Push two images to one tag."""
    return push("alice/app", "v1", b"one"), push("alice/app", "v1", b"two")


def test_the_history_says_who_from_and_to(moved: tuple[Image, Image]) -> None:
    page = text_of(signed_in("bob"), HISTORY)

    for image in moved:
        assert f'title="{image.digest}"' in page
    assert 'class="wrap">alice</td>' in page
    assert "new</span>" in page
    assert "rollback" not in page


def test_a_tag_is_rolled_back_and_the_earlier_image_is_pulled(moved: tuple[Image, Image], alice: Caller) -> None:
    browser = signed_in("alice")

    assert f'value="{moved[0].digest}"' in text_of(browser, HISTORY)
    answer = browser.post(ROLL_BACK, {"digest": moved[0].digest}, follow=True)

    assert f"v1 is {moved[0].digest} now." in answer.content.decode()
    assert alice.get("/v2/alice/app/manifests/v1").content == moved[0].payload
    assert f'value="{moved[1].digest}"' in text_of(browser, HISTORY)


def test_an_image_that_is_gone_is_said_and_has_no_way_back(moved: tuple[Image, Image], alice: Caller) -> None:
    alice.delete(f"/v2/alice/app/manifests/{moved[0].digest}")
    browser = signed_in("alice")

    page = text_of(browser, HISTORY)
    answer = browser.post(ROLL_BACK, {"digest": moved[0].digest}, follow=True)

    assert "gone</span>" in page
    assert 'action="/repositories/alice/app/-/v1/rollback"' not in page
    assert "Nothing was changed: manifest unknown to registry." in answer.content.decode()


@pytest.mark.parametrize("digest", ["", "v1", "sha256:0", digest_of(b"never pushed")])
def test_what_is_no_manifest_here_is_refused(moved: tuple[Image, Image], digest: str) -> None:
    answer = signed_in("alice").post(ROLL_BACK, {"digest": digest}, follow=True)

    assert "Nothing was changed" in answer.content.decode()
    assert TagMove.objects.count() == 2


@pytest.mark.parametrize("actions", ["pull", "pull,delete"])
def test_only_who_may_push_rolls_back(moved: tuple[Image, Image], actions: str) -> None:
    Rule.objects.filter(subject="bob").update(actions=actions)

    assert signed_in("bob").post(ROLL_BACK, {"digest": moved[0].digest}).status_code == 403
    assert TagMove.objects.count() == 2


def test_a_link_does_not_roll_back(moved: tuple[Image, Image]) -> None:
    assert signed_in("alice").get(ROLL_BACK).status_code == 405


def test_a_deleted_tag_is_listed_and_restored(moved: tuple[Image, Image], alice: Caller) -> None:
    alice.delete("/v2/alice/app/manifests/v1")
    browser = signed_in("alice")

    listed = text_of(browser, f"{PAGE}/~/deleted")
    page = text_of(browser, HISTORY)
    browser.post(ROLL_BACK, {"digest": moved[1].digest})

    assert HISTORY in listed
    assert moved[1].digest in listed
    assert "This tag was deleted." in page
    assert "Restore</button>" in page
    assert alice.get("/v2/alice/app/manifests/v1").content == moved[1].payload
    assert HISTORY not in text_of(browser, f"{PAGE}/~/deleted")


def test_a_long_history_goes_on_on_the_next_page(push: Push, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.contents.PAGE", 2)
    digests = [push("alice/app", "v1", layer).digest for layer in (b"1", b"2", b"3")]
    second = TagMove.objects.order_by("pk")[1].pk
    browser = signed_in("bob")

    assert f"?before={second}" in text_of(browser, HISTORY)
    older = text_of(browser, f"{HISTORY}?before={second}")
    assert digests[0] in older
    assert digests[2] not in older


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "%00", "\u0661"])
def test_any_other_start_is_the_newest(moved: tuple[Image, Image], before: str) -> None:
    assert moved[1].digest in text_of(signed_in("bob"), f"{HISTORY}?before={before}")


@pytest.mark.parametrize(
    "path", [f"{PAGE}/-/never/history", f"{PAGE}/-/.x/history", "/repositories/nobody/app/~/deleted"]
)
def test_what_never_was_is_404(moved: tuple[Image, Image], path: str) -> None:
    assert signed_in("alice").get(path).status_code == 404


def test_a_tag_from_before_the_history_says_that_nothing_is_recorded(moved: tuple[Image, Image]) -> None:
    TagMove.objects.all().delete()

    assert "Nothing is recorded" in text_of(signed_in("bob"), HISTORY)


def test_the_history_is_as_private_as_the_repository(moved: tuple[Image, Image]) -> None:
    charlie = signed_in("charlie")

    assert [charlie.get(path).status_code for path in (HISTORY, f"{PAGE}/~/deleted")] == [404, 404]


def test_accounts_are_named_to_visitors_who_are_signed_in(moved: tuple[Image, Image], alice: Caller) -> None:
    Rule.objects.create(subject_kind="anonymous", name="alice/app", actions="pull")
    alice.delete("/v2/alice/app/manifests/v1")
    put_manifest(alice, "alice/app", "v2", moved[0].payload)
    paths = (PAGE, HISTORY, f"{PAGE}/~/deleted")

    assert ["alice<" in text_of(signed_in("bob"), path) for path in paths] == [True, True, True]
    assert ["alice<" in text_of(Client(), path) for path in paths] == [False, False, False]


def test_the_history_of_an_earlier_repository_of_the_name_is_not_shown(
    moved: tuple[Image, Image], push: Push, alice: Caller
) -> None:
    push("alice/app", "old", b"old")
    assert signed_in("alice").post(f"{PAGE}/~/delete", {"name": "alice/app"}).status_code == 302
    assert signed_in("bob").get(HISTORY).status_code == 404
    third = push("alice/app", "v1", b"three")

    page = text_of(signed_in("bob"), HISTORY)

    assert third.digest in page
    assert moved[0].digest not in page
    assert moved[1].digest not in page
    assert signed_in("bob").get(f"{PAGE}/-/old/history").status_code == 404
    assert "old" not in text_of(signed_in("bob"), f"{PAGE}/~/deleted").partition("<h1>")[2].partition("</table>")[0]


def test_a_tag_that_no_move_deleted_is_not_said_to_be_deleted_by_somebody(moved: tuple[Image, Image]) -> None:
    Tag.objects.all().delete()

    page = text_of(signed_in("bob"), f"{PAGE}/~/deleted")

    assert moved[1].digest in page
    assert "not recorded" in page
    assert "anonymous" not in page


def test_a_roll_back_to_what_the_tag_is_says_so_and_records_nothing(
    moved: tuple[Image, Image], written: Written
) -> None:
    written()

    answer = signed_in("alice").post(ROLL_BACK, {"digest": moved[1].digest}, follow=True)

    assert f"v1 was {moved[1].digest} already." in answer.content.decode()
    assert [event.kind for event in written() if event.kind == Kind.TAG_ROLLED_BACK] == []


def test_a_full_disk_refuses_a_roll_back(moved: tuple[Image, Image], monkeypatch: pytest.MonkeyPatch) -> None:
    full = Space("registry's database", free=0, reserve=10, ballast=0)
    monkeypatch.setattr(disk_reserve, "_of_database", lambda: full)

    answer = signed_in("alice").post(ROLL_BACK, {"digest": moved[0].digest}, follow=True)

    assert "Nothing was changed" in answer.content.decode()
    assert TagMove.objects.count() == 2
