"""Tags and manifests are deleted by the verbs of the registry, whole or not at all."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection

from accounts.models import Account
from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError
from distribution.manifests import store
from distribution.models import Link, Manifest, Tag, TagMove
from distribution.protocol.digest import Digest
from tests.admin.browser import Browser, messages_of, staff
from tests.admin.test_looking import list_of
from tests.caller import Caller
from tests.images import Image

TAGS, MANIFESTS = list_of("tag"), list_of("manifest")


def deletion_of(row: Tag | Manifest) -> str:
    return f"{list_of(type(row).__name__.lower())}{row.pk}/delete/"


def test_a_deleted_tag_leaves_its_manifest_to_the_collector(admin: Browser, push: Callable[..., Image]) -> None:
    image = push("alice/app", "v1")

    response = admin.submit(deletion_of(Tag.objects.get()))

    assert (response.status_code, response["Location"]) == (302, TAGS)
    assert not Tag.objects.exists()
    assert Manifest.objects.get(digest=image.digest).is_unreferenced


def test_a_deleted_manifest_takes_its_tags_and_frees_its_blobs(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    push("alice/app", "v2")

    response = admin.submit(deletion_of(Manifest.objects.get()))

    assert response.status_code == 302
    assert not Manifest.objects.exists()
    assert not Tag.objects.exists()
    assert set(Link.objects.values_list("is_unreferenced", flat=True)) == {True}


def test_the_confirmation_names_what_goes(admin: Browser, push: Callable[..., Image]) -> None:
    image = push("alice/app", "v1")

    page = admin.text(deletion_of(Manifest.objects.get()))

    assert f"alice/app@{image.digest} with its tags v1" in page


def test_a_manifest_that_an_index_lists_stays_and_the_reason_is_said(admin: Browser, family: Image) -> None:
    child = Manifest.objects.exclude(digest=family.digest).earliest("pk")

    response = admin.submit(deletion_of(child))

    assert response.status_code == 302
    assert "an index lists this manifest" in admin.text(response["Location"])
    assert Manifest.objects.count() == 3
    assert not LogEntry.objects.exists()


def test_selected_tags_are_deleted(admin: Browser, push: Callable[..., Image]) -> None:
    for tag in ("v1", "v2", "v3"):
        push("alice/app", tag)
    first, second, _ = Tag.objects.order_by("name")

    response = admin.delete_selected(TAGS, first.pk, second.pk)

    assert messages_of(response) == ["Deleted 2 tags."]
    assert Tag.objects.get().name == "v3"


@pytest.mark.parametrize("what", ["tag", "tags", "manifest"])
def test_a_deletion_is_in_the_history_of_its_tag(
    admin: Browser, root: Account, push: Callable[..., Image], what: str
) -> None:
    image = push("alice/app", "v1")

    if what == "tags":
        admin.delete_selected(TAGS, Tag.objects.get().pk)
    else:
        admin.submit(deletion_of(Tag.objects.get() if what == "tag" else Manifest.objects.get()))

    move = TagMove.objects.latest("pk")
    assert (move.tag, move.old_digest, move.new_digest, move.account) == ("v1", image.digest, "", root.name)


def test_an_index_selected_with_its_manifests_goes_before_them(admin: Browser, family: Image) -> None:
    oldest_first = Manifest.objects.order_by("pk").values_list("pk", flat=True)

    response = admin.delete_selected(MANIFESTS, *oldest_first)

    assert messages_of(response) == ["Deleted 3 manifests."]
    assert not Manifest.objects.exists()


def test_of_selected_manifests_those_that_are_refused_stay(
    admin: Browser, family: Image, push: Callable[..., Image]
) -> None:
    lone = Manifest.objects.get(digest=push("alice/app", "lone").digest)
    child = Manifest.objects.filter(parents__isnull=False).earliest("pk")

    response = admin.delete_selected(MANIFESTS, lone.pk, child.pk)

    done, refused = messages_of(response)
    assert done == "Deleted 1 manifest."
    assert child.digest in refused
    assert family.digest in refused
    assert not Manifest.objects.filter(pk=lone.pk).exists()


def test_a_refused_deletion_is_not_in_the_log_and_the_others_are(admin: Browser, family: Image) -> None:
    child = Manifest.objects.filter(parents__isnull=False).earliest("pk")
    tag = Tag.objects.get()

    admin.delete_selected(MANIFESTS, child.pk)
    admin.delete_selected(TAGS, tag.pk)

    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["alice/app:multi"]


@pytest.mark.parametrize("path", ["one", "several"])
def test_a_database_that_is_busy_is_said_and_nothing_is_lost(
    admin: Browser, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    push("alice/app", "v1")
    row = Manifest.objects.get()

    def busy(*_arguments: object, **_options: object) -> None:
        raise RegistryError(ErrorCode.UNAVAILABLE, "the database is busy")

    monkeypatch.setattr(store, "delete", busy)
    if path == "one":
        admin.submit(deletion_of(row))
    else:
        admin.delete_selected(MANIFESTS, row.pk)

    assert Manifest.objects.filter(pk=row.pk).exists()
    assert Tag.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["one", "several"])
def test_the_verb_is_in_no_transaction_but_its_own(
    admin: Browser, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    push("alice/app", "v1")
    row = Manifest.objects.get()
    was_in_one: list[bool] = []
    delete = store.delete

    def watched(name: RepositoryName, digest: Digest, **by: Any) -> None:
        was_in_one.append(connection.in_atomic_block)
        delete(name, digest, **by)

    monkeypatch.setattr(store, "delete", watched)
    if path == "one":
        admin.submit(deletion_of(row))
    else:
        admin.delete_selected(MANIFESTS, row.pk)

    assert was_in_one == [False]


def test_who_may_only_look_deletes_nothing(cast: None, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    onlooker = staff("onlooker", "view_tag", "view_manifest")

    one = onlooker.post(deletion_of(Tag.objects.get()), {"post": "yes"})
    onlooker.post(TAGS, {"action": "delete_selected", "_selected_action": [str(Tag.objects.get().pk)], "post": "yes"})

    assert one.status_code == 403
    assert Tag.objects.exists()


def test_a_deleted_tag_is_gone_for_clients_at_once(admin: Browser, push: Callable[..., Image], alice: Caller) -> None:
    push("alice/app", "v1")

    admin.submit(deletion_of(Tag.objects.get()))

    assert alice.get("/v2/alice/app/manifests/v1").status_code == 404
