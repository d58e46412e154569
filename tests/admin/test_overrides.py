"""A superuser sets immutability aside in the admin, with a reason; nobody else does."""

from collections.abc import Callable

import pytest
from django.urls import reverse

from accounts.models import Account
from audit.kinds import Kind
from distribution.models import Manifest, Repository, Tag
from policies.models import ImmutableTags, ReadOnly
from tests.admin.browser import Browser, staff
from tests.audit.conftest import Written
from tests.images import Image

MODELS = [Tag, Manifest, Repository]


def address(model: type[Tag | Manifest | Repository]) -> str:
    row = model._default_manager.get()
    return reverse(f"admin:distribution_{model._meta.model_name}_delete", args=[row.pk])


@pytest.fixture
def immutable(push: Callable[..., Image]) -> None:
    """Push a tag that never moves."""
    push("alice/app", "v1")
    ImmutableTags.objects.create(repositories="alice/*", tags="v*")


@pytest.mark.parametrize("model", MODELS)
def test_the_form_asks_for_the_reason_which_the_audit_has(
    admin: Browser, immutable: None, model: type[Tag | Manifest | Repository], written: Written
) -> None:
    written()
    page = admin.text(address(model))

    admin.submit(address(model), reason=" withdrawn\nby mistake ")

    assert "the tag v1 of alice/app is immutable" in page
    assert not Tag.objects.filter(repository__name="alice/app").exists()
    (event,) = [event for event in written() if event.kind == f"{model._meta.model_name}_deleted"]
    assert event.kind in Kind.values
    assert event.detail.endswith("; immutability overridden: withdrawn by mistake")


@pytest.mark.parametrize("way", ["no reason", "no superuser", "read-only"])
def test_nothing_is_deleted_otherwise(admin: Browser, immutable: None, way: str) -> None:
    browser, reason = admin, "because"
    if way == "no reason":
        reason = " "
    elif way == "no superuser":
        browser = staff("somebody", "delete_tag", "view_tag")
    else:
        ReadOnly.objects.create(repositories="alice/*")

    page = browser.text(address(Tag))
    browser.post(address(Tag), {"post": "yes", "reason": reason})

    assert "be deleted: " in page
    assert ('name="reason"' in page) == (way == "no reason")
    assert Tag.objects.exists()


def test_an_override_that_is_not_needed_is_not_recorded(
    admin: Browser, push: Callable[..., Image], written: Written
) -> None:
    push("alice/app", "v1")

    admin.post(address(Tag), {"post": "yes", "reason": "because"})

    assert not Tag.objects.exists()
    assert not [event for event in written() if "overridden" in event.detail]
    assert Account.objects.filter(is_superuser=True).exists()
