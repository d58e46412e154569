"""Delete by a page: who may, what it says before, and what it did."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.contrib.auth.models import Permission
from django.template.loader import render_to_string
from django.test import Client
from pytest_django import Settings

from accounts import permissions_version
from accounts.identity import ANONYMOUS, Identity
from accounts.models import Account
from acl import grants
from acl.models import Rule
from audit.kinds import Kind
from core.sizes import size_text
from distribution import deletion
from distribution.models import Blob, Manifest, Repository, Tag, TagMove
from tests.admin.form import form_of
from tests.audit.conftest import Written
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import Image, descriptor, index, manifest, push_blob, put_manifest
from tests.web.test_pages import signed_in, text_of
from web.visitor import Visitor

Push = Callable[..., Image]
PAGE = "/repositories/alice/app"
TAG, REPOSITORY = f"{PAGE}/-/v1/delete", f"{PAGE}/~/delete"


@pytest.fixture
def collects(settings: Settings) -> None:
    """Have untagged manifests removed."""
    collector = replace(settings.REGISTRY.garbage_collector, remove_untagged=True)
    settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=collector)


def test_a_tag_is_deleted_after_a_page_that_says_what_stays(push: Push) -> None:
    image = push()
    alice = signed_in("alice")

    asked = text_of(alice, TAG)
    answer = alice.post(TAG, follow=True)

    assert "untagged manifests are not removed here. Nothing is freed." in asked
    assert "v1 was deleted." in answer.content.decode()
    assert answer.redirect_chain == [(PAGE, 302)]
    assert not Tag.objects.exists()
    move = TagMove.objects.latest("pk")
    assert (move.old_digest, move.new_digest, move.account) == (image.digest, "", "alice")


@pytest.mark.usefixtures("collects")
def test_the_page_says_what_a_tag_frees_and_when(push: Push) -> None:
    push("alice/app", "v1", b"x" * 2048)
    size = size_text(sum(Blob.objects.values_list("size", flat=True)))

    assert f"Frees up to {size} at the first collection after 1 day." in text_of(signed_in("alice"), TAG)


def test_a_manifest_is_deleted_with_the_tags_that_the_page_names(alice: Caller, push: Push) -> None:
    image = push()
    put_manifest(alice, "alice/app", "v2", image.payload)
    browser, path = signed_in("alice"), f"{PAGE}/-/{image.digest}/delete"

    assert "Its tags are deleted with it: v1, v2." in text_of(browser, path)
    browser.post(path)

    assert not Manifest.objects.exists()
    assert TagMove.objects.filter(new_digest="", account="alice").count() == 2


def test_shared_bytes_are_said_to_stay(alice: Caller, push: Push) -> None:
    image = push("alice/app", "v1", b"y" * 1024)
    push_blob(alice, "alice/app", b"{}")
    put_manifest(alice, "alice/app", "v2", manifest(b"{}", b"y" * 1024))
    push("alice/one", "v1", b"y" * 1024)
    push("alice/two", "v1", b"y" * 1024)

    Account.objects.get(name="alice").user_permissions.add(Permission.objects.get(codename="view_repository"))
    page = text_of(signed_in("alice"), f"{PAGE}/-/{image.digest}/delete")

    assert "Frees no bytes." in page
    assert "stay: 1 other manifest and 2 other repositories share them." in page


def test_the_pages_do_not_tell_what_other_repositories_have(push: Push) -> None:
    image = push("alice/app", "v1", b"y" * 1024)
    alice = signed_in("alice")
    paths = (TAG, f"{PAGE}/-/{image.digest}/delete", REPOSITORY)

    def shown() -> list[str]:
        return [text_of(alice, path).partition("<h1")[2].partition("csrf")[0] for path in paths]

    before = shown()
    size = size_text(sum(Blob.objects.values_list("size", flat=True)))
    push("alice/other", "v1", b"y" * 1024)

    assert shown() == before
    assert [f"Frees up to {size}" in page for page in before] == [False, True, True]
    assert ["Content that other repositories use stays." in page for page in before] == [False, True, True]


def test_a_refused_change_is_recorded(push: Push, written: Written) -> None:
    push()
    written()

    assert [signed_in("bob").post(path).status_code for path in (TAG, TAG, REPOSITORY)] == [403, 403, 403]
    assert Client().post(TAG).status_code == 404

    (event,) = [event for event in written() if event.kind == Kind.DENIAL]
    assert (event.account, event.credential, event.repository, event.count) == ("bob", "session", "alice/app", 3)
    assert event.detail == "no rule allows it to delete"


def test_a_manifest_of_an_index_is_refused_with_the_reason(alice: Caller, push: Push) -> None:
    image = push()
    put_manifest(alice, "alice/app", "all", index(image.payload))

    answer = signed_in("alice").post(f"{PAGE}/-/{image.digest}/delete", follow=True)

    assert "Nothing was changed: an index lists this manifest" in answer.content.decode()
    assert Manifest.objects.filter(digest=image.digest).exists()


@pytest.mark.usefixtures("collects")
def test_a_tag_about_another_manifest_frees_nothing(alice: Caller, push: Push) -> None:
    put_manifest(alice, "alice/app", "about", index(subject=descriptor(push().payload)))

    assert "about another one of this repository" in text_of(signed_in("alice"), f"{PAGE}/-/about/delete")


def test_a_repository_is_deleted_by_its_name(push: Push) -> None:
    push()
    alice = signed_in("alice")

    asked = text_of(alice, REPOSITORY)
    wrong = alice.post(REPOSITORY, {"name": "alice"})
    assert Repository.objects.filter(name="alice/app").exists()
    answer = alice.post(REPOSITORY, {"name": "alice/app"}, follow=True)

    assert "It disappears at once, with 1 tag." in asked
    assert "about 15 minutes after its contents are removed" in asked
    assert b"This is not its name." in wrong.content
    assert "alice/app was deleted." in answer.content.decode()
    assert alice.get(PAGE).status_code == 404
    assert deletion.unfinished().exists()


@pytest.mark.parametrize("path", [TAG, REPOSITORY])
def test_who_may_only_pull_deletes_nothing(push: Push, path: str) -> None:
    push()
    Rule.objects.create(subject_kind="account", subject="bob", name="alice/*", actions="pull,push")
    bob = signed_in("bob")

    assert (bob.get(path).status_code, bob.post(path, {"name": "alice/app"}).status_code) == (403, 403)
    assert "No rule allows you to delete alice/app." in bob.get(path).content.decode()
    assert Tag.objects.exists()
    assert f'href="{path}"' not in text_of(bob, PAGE)
    assert f'href="{path}"' in text_of(signed_in("alice"), PAGE)


@pytest.mark.parametrize("path", [TAG, REPOSITORY, f"{PAGE}/-/v1/rollback", f"{PAGE}/~/description"])
@pytest.mark.parametrize("name", ["charlie", ""])
def test_who_may_not_pull_learns_nothing(push: Push, name: str, path: str) -> None:
    push()
    client = signed_in(name) if name else Client()

    found, missing = client.post(path), client.post(path.replace("alice", "nobody"))

    assert (found.status_code, missing.status_code) == (404, 404)
    assert Tag.objects.exists()


@pytest.mark.parametrize("path", [TAG, REPOSITORY, f"{PAGE}/-/v1/rollback", f"{PAGE}/~/description"])
def test_a_form_of_another_site_changes_nothing(push: Push, path: str) -> None:
    push()
    client = Client(enforce_csrf_checks=True)
    token = form_of(client.get("/login").content.decode())["csrfmiddlewaretoken"]
    fields = {"username": "alice", "password": PASSWORDS["alice"], "csrfmiddlewaretoken": token}
    assert client.post("/login", fields).status_code == 302

    answer = client.post(path, {"name": "alice/app", "description": "x", "digest": Manifest.objects.get().digest})

    assert answer.status_code == 403
    assert Tag.objects.exists()
    assert Repository.objects.get(name="alice/app").description is None


@pytest.mark.parametrize(
    "path",
    [
        f"{PAGE}/-/missing/delete",
        f"{PAGE}/-/..x/delete",
        f"{PAGE}/-/sha256:{'0' * 64}/delete",
        "/repositories/alice/missing/~/delete",
        "/repositories/alice/missing/-/v1/delete",
    ],
)
def test_what_is_missing_is_404(push: Push, path: str) -> None:
    push()

    assert signed_in("alice").get(path).status_code == 404


def test_a_tag_that_has_gone_meanwhile_is_said(alice: Caller, push: Push) -> None:
    push()
    alice.delete("/v2/alice/app/manifests/v1")

    answer = signed_in("alice").post(TAG, follow=True)

    assert "Nothing was changed: manifest unknown to registry." in answer.content.decode()


@pytest.mark.parametrize(("actions", "is_shown"), [("pull", False), ("pull,delete", True)])
def test_an_image_has_links_to_its_history_and_deletion(push: Push, actions: str, is_shown: bool) -> None:
    image = push()
    Rule.objects.filter(subject="bob").update(actions=actions)
    version = permissions_version.current()
    visitor = Visitor(ANONYMOUS, grants.rules_of(Identity("bob"), version), version)
    shown = {"visitor": visitor, "name": "alice/app", "image": image}

    by_tag = render_to_string("web/image_actions.html", shown | {"reference": "v1"})
    by_digest = render_to_string("web/image_actions.html", shown | {"reference": image.digest})

    assert f'href="{PAGE}/-/v1/history"' in by_tag
    assert "history" not in by_digest
    assert (f'href="{TAG}"' in by_tag) is is_shown
    assert (f'href="{PAGE}/-/{image.digest}/delete"' in by_digest) is is_shown


def test_a_registry_that_does_not_collect_by_itself_says_so(push: Push, settings: Settings) -> None:
    image = push()
    collector = replace(settings.REGISTRY.garbage_collector, is_enabled=False)
    settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=collector)

    page = text_of(signed_in("alice"), f"{PAGE}/-/{image.digest}/delete")

    assert "when somebody runs the garbage collector after 1 day: here it does not run by itself" in page
