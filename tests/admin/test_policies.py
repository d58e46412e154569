"""Policies in the admin: sentence, preview, form."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from policies.kinds import BY_NAME, KINDS
from policies.models import Policy, Quota
from tests.admin.browser import Browser, staff
from tests.images import Image
from tests.policies.signatures.signers import KEY_PEM

FORMS: dict[str, dict[str, Any]] = {
    "quotas": {"repositories": "alice/*", "each": "whole", "max_size": "10GiB"},
    "retention": {"repositories": "alice/*", "keep_last": "10", "keep_pushed_within": "720h", "remove_untagged": "on"},
    "signatures": {"repositories": "alice/*", "keys": KEY_PEM, "mode": "enforce"},
    "read_only": {"repositories": "alice/*", "message": "until noon"},
    "immutable_tags": {"repositories": "alice/*", "tags": "v*  release-*", "protected": "on"},
}
PARAMETERS = [pytest.param(kind, FORMS[kind.kind], id=kind.kind) for kind in KINDS]


def address(kind: type[Policy], page: str, *arguments: object) -> str:
    return reverse(f"admin:policies_{kind._meta.model_name}_{page}", args=arguments)


@pytest.mark.parametrize(("kind", "form"), PARAMETERS)
def test_a_policy_is_made_and_listed_as_its_sentence(admin: Browser, kind: type[Policy], form: dict[str, str]) -> None:
    response = admin.post(address(kind, "add"), form)

    assert response.status_code == 302, response.content
    policy = kind._default_manager.get()
    assert str(policy) in admin.client.get(address(kind, "changelist")).content.decode()


@pytest.mark.parametrize(("kind", "form"), PARAMETERS)
def test_the_preview_has_sentence_and_repositories(
    admin: Browser, push: Callable[..., Image], kind: type[Policy], form: dict[str, str]
) -> None:
    push("alice/app")

    page = admin.client.get(address(kind, "preview"), form).content.decode()

    assert '<p class="sentence">' in page
    assert "<span>alice/app</span>" in page
    assert not kind._default_manager.exists()


@pytest.mark.parametrize(("kind", "form"), PARAMETERS)
def test_the_button_preview_saves_nothing(admin: Browser, kind: type[Policy], form: dict[str, str]) -> None:
    page = admin.post(address(kind, "add"), form | {"_preview": "1"}).content.decode()

    assert '<p class="sentence">' in page
    assert 'value="alice/*"' in page
    assert not kind._default_manager.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_preview_needs_the_right_to_view(cast: None, kind: type[Policy]) -> None:
    browser = staff("somebody", "view_rule")

    assert browser.client.get(address(kind, "preview")).status_code == 403


def test_errors_are_shown_in_the_preview(admin: Browser) -> None:
    page = admin.client.get(address(BY_NAME["immutable_tags"], "preview"), {"repositories": "alice/["}).content.decode()

    assert "has no ]" in page


def test_the_form_shows_the_size_that_a_save_keeps(admin: Browser) -> None:
    admin.post(address(Quota, "add"), FORMS["quotas"])
    quota = Quota.objects.get()

    page = admin.client.get(address(Quota, "change", quota.pk)).content.decode()

    # A browser shows nothing in a field for numbers.
    assert re.search(r'<input type="text" name="max_size" value="10GiB"', page)
