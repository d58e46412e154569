"""Changes that policies forbid: no button, but the reason; a superuser sets immutability aside with a reason."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import Account
from acl.models import Rule
from audit.kinds import Kind
from distribution.models import Repository, Tag
from policies.models import ImmutableTags, ReadOnly
from tests.audit.conftest import Written
from tests.conftest import hashed
from tests.images import Image
from tests.web.test_pages import signed_in, text_of

PAGE = "/repositories/alice/app"
IMAGE, HISTORY = f"{PAGE}/-/v1", f"{PAGE}/-/v1/history"
REASON = "the tag v1 of alice/app is immutable: the tags v* of alice/* never move"


@pytest.fixture
def images(push: Callable[..., Image]) -> list[Image]:
    """Push v1 twice, and dev."""
    return [push("alice/app", "v1"), push("alice/app", "v1", b"other"), push("alice/app", "dev", b"third")]


@pytest.fixture
def boss(cast: None) -> Client:
    """Sign a superuser in, who may do everything with alice/*."""
    account = Account.objects.create(name="boss", password=hashed("x"), is_staff=True, is_superuser=True)
    Rule.objects.create(subject_kind="account", subject="boss", name="alice/*", actions="*")
    client = Client()
    client.force_login(account)
    return client


@pytest.fixture
def immutable(cast: None) -> ImmutableTags:
    return ImmutableTags.objects.create(repositories="alice/*", tags="v*")


def test_an_immutable_tag_has_no_button_and_the_reason(images: list[Image], immutable: ImmutableTags) -> None:
    alice = signed_in("alice")

    page = text_of(alice, PAGE)

    assert f'href="{PAGE}/-/dev/delete"' in page
    assert f'href="{IMAGE}/delete"' not in page
    assert "Immutable: the tags v* of alice/* never move." in page
    for address in (IMAGE, f"{PAGE}/-/{images[1].digest}", f"{IMAGE}/delete", HISTORY):
        shown = text_of(alice, address)
        assert REASON in shown
        assert '/delete"' not in shown
        assert "Roll back" not in shown


def test_who_may_only_pull_is_told_no_policy(images: list[Image], immutable: ImmutableTags) -> None:
    bob = signed_in("bob")

    for address in (PAGE, IMAGE, HISTORY):
        assert "mmutable" not in text_of(bob, address)


@pytest.mark.parametrize("policy", ["read-only", "protected", "deletion"])
def test_nothing_is_deleted_where_nothing_may_be(images: list[Image], policy: str, settings: Settings) -> None:
    if policy == "read-only":
        ReadOnly.objects.create(repositories="alice/*", message="until noon")
    elif policy == "protected":
        ImmutableTags.objects.create(repositories="alice/*", protected=True)
    else:
        registry = settings.REGISTRY
        settings.REGISTRY = replace(registry, storage=replace(registry.storage, deletion=False))
    reason = {"read-only": "is read-only: until noon", "protected": "is protected", "deletion": "storage.deletion"}
    alice = signed_in("alice")

    page = text_of(alice, PAGE)

    assert "Nothing can be deleted" in page
    assert reason[policy] in page
    assert '/delete"' not in page
    for address in (f"{IMAGE}/delete", f"{PAGE}/~/delete", f"{PAGE}/-/{images[0].digest}/delete"):
        shown = text_of(alice, address)
        assert reason[policy] in shown
        assert '<button class="danger">' not in shown
    assert ("Roll back" in text_of(alice, HISTORY)) == (policy != "read-only")


def test_a_deleted_immutable_tag_can_be_restored(images: list[Image]) -> None:
    alice = signed_in("alice")
    alice.post(f"{IMAGE}/delete")
    ImmutableTags.objects.create(repositories="alice/*", tags="v*")

    assert "Restore" in text_of(alice, HISTORY)
    alice.post(f"{PAGE}/-/v1/rollback", {"digest": images[0].digest})

    assert Tag.objects.get(name="v1").manifest.digest == images[0].digest


def test_a_superuser_overrides_with_a_reason_that_the_audit_has(
    images: list[Image], immutable: ImmutableTags, boss: Client, written: Written
) -> None:
    assert 'name="reason"' in text_of(boss, HISTORY)
    boss.post(f"{PAGE}/-/v1/rollback", {"digest": images[0].digest, "reason": "  v1 was\nbroken "})
    assert Tag.objects.get(name="v1").manifest.digest == images[0].digest

    asked = text_of(boss, f"{IMAGE}/delete")
    boss.post(f"{IMAGE}/delete", {"reason": "withdrawn"})

    assert REASON in asked
    assert 'name="reason"' in asked
    assert not Tag.objects.filter(name="v1").exists()
    kinds = (Kind.TAG_ROLLED_BACK, Kind.TAG_DELETED)
    assert [event.detail for event in written() if event.kind in kinds] == [
        "immutability overridden: v1 was broken",
        "immutability overridden: withdrawn",
    ]


@pytest.mark.parametrize("path", [f"{PAGE}/-/DIGEST/delete", f"{PAGE}/~/delete"])
def test_a_manifest_and_a_repository_are_deleted_with_a_reason(
    images: list[Image], immutable: ImmutableTags, boss: Client, path: str
) -> None:
    path = path.replace("DIGEST", images[1].digest)
    boss.post(path, {"name": "alice/app"})
    assert Tag.objects.filter(repository__name="alice/app", name="v1").exists()

    boss.post(path, {"name": "alice/app", "reason": "withdrawn"})

    assert not Tag.objects.filter(repository__name="alice/app", name="v1").exists()


@pytest.mark.parametrize("way", ["nobody special", "no reason", "staff only", "read-only"])
def test_nothing_is_overridden_without_right_or_reason(
    images: list[Image], immutable: ImmutableTags, boss: Client, way: str
) -> None:
    client, form = boss, {"reason": "because"}
    if way == "nobody special":
        client = signed_in("alice")
    elif way == "no reason":
        form = {"reason": "  "}
    elif way == "staff only":
        Account.objects.update(is_superuser=False)
    else:
        ReadOnly.objects.create(repositories="alice/*")

    client.post(f"{IMAGE}/delete", form)
    client.post(f"{PAGE}/-/v1/rollback", form | {"digest": images[0].digest})
    client.post(f"{PAGE}/~/delete", form | {"name": "alice/app"})

    assert Tag.objects.get(name="v1").manifest.digest == images[1].digest
    assert Repository.objects.filter(name="alice/app").exists()
