"""Webhooks in the admin: a form that never shows the secret."""

import re
from dataclasses import replace

import pytest
from django.urls import reverse
from pytest_django.fixtures import Settings

from configuration.webhooks import WebhookEntry
from provisioning import importing
from tests.admin.browser import Browser, messages_of
from tests.admin.form import form_of
from webhooks import sealing
from webhooks.models import Webhook, default_events

ADD, LIST = "admin:webhooks_webhook_add", "admin:webhooks_webhook_changelist"
SECRET = "s" * 40
FORM = {"name": "ci", "url": "https://ci.example.com/hook", "envelope": "cloudevents", "repositories": "alice/*"}


def checked_events(page: str) -> list[str]:
    boxes = re.findall(r'<input type="checkbox" name="events"[^>]*>', page)
    return [re.findall(r'value="([^"]*)"', box)[0] for box in boxes if re.search(r"\schecked[\s>]", box)]


def test_a_new_one_is_for_the_usual_events(admin: Browser) -> None:
    assert checked_events(admin.client.get(reverse(ADD)).content.decode()) == default_events()


def test_it_is_made_listed_and_changed_without_its_secret(admin: Browser) -> None:
    made = admin.post(reverse(ADD), FORM | {"events": ["tag.delete"], "secret": SECRET, "is_active": "on"})

    assert made.status_code == 302, made.content
    hook = Webhook.objects.get()
    assert (hook.events, sealing.unseal(bytes(hook.sealed_secret))) == (["tag.delete"], SECRET)
    change = reverse("admin:webhooks_webhook_change", args=[hook.pk])
    pages = [admin.client.get(path).content.decode() for path in (reverse(LIST), change)]
    assert all("ci" in page and SECRET not in page for page in pages)
    assert checked_events(pages[1]) == ["tag.delete"]
    assert admin.post(change, FORM | {"events": ["tag.delete", "manifest.push"], "secret": ""}).status_code == 302
    hook.refresh_from_db()
    assert (hook.events, hook.is_active) == (["manifest.push", "tag.delete"], False)
    assert sealing.unseal(bytes(hook.sealed_secret)) == SECRET


def test_a_new_one_needs_a_secret_and_an_address_that_may_be_sent_to(admin: Browser) -> None:
    page = admin.post(reverse(ADD), FORM | {"url": "https://127.0.0.1/", "events": ["tag.delete"]}).content.decode()

    assert "A new webhook needs a secret." in page
    assert not Webhook.objects.exists()
    admin.post(reverse(ADD), FORM | {"url": "https://127.0.0.1/", "events": ["tag.delete"], "secret": SECRET})
    assert not Webhook.objects.exists()


@pytest.fixture
def of_the_file(cast: None, settings: Settings) -> Webhook:
    """Import a webhook of the file."""
    entry = WebhookEntry("ci", "https://ci.example.com/hook", SECRET, headers=(("X-Team", "red"),))
    settings.REGISTRY = replace(settings.REGISTRY, webhooks=(entry,))
    importing.apply(settings.REGISTRY)
    return Webhook.objects.get()


def origins(browser: Browser, origin: str) -> list[str]:
    return [hook.name for hook in browser.get(reverse(LIST), origin=origin).context["cl"].result_list]


def test_the_list_tells_which_are_of_the_file(admin: Browser, of_the_file: Webhook) -> None:
    admin.post(reverse(ADD), FORM | {"name": "own", "events": ["tag.delete"], "secret": SECRET})

    assert (origins(admin, "file"), origins(admin, "admin"), origins(admin, "edited")) == (["ci"], ["own"], [])
    Webhook.objects.filter(name="ci").update(repositories="b/*")
    assert (origins(admin, "file"), origins(admin, "edited")) == ([], ["ci"])


@pytest.mark.parametrize("edit", ["secret", "headers", "url"])
def test_one_that_was_edited_goes_back_to_the_file(admin: Browser, of_the_file: Webhook, edit: str) -> None:
    change = reverse("admin:webhooks_webhook_change", args=[of_the_file.pk])
    fields = FORM | {"events": default_events(), "repositories": "*", "envelope": "distribution", "is_active": "on"}
    admin.post(
        change,
        fields | {edit: {"secret": "x" * 40, "headers": "X-Team: blue", "url": "https://ci.example.com/b"}[edit]},
    )
    assert "file, edited since" in admin.text(change)

    token = form_of(admin.text(reverse(LIST)))["csrfmiddlewaretoken"]
    chosen = {"action": "restore", "_selected_action": [str(of_the_file.pk)], "csrfmiddlewaretoken": token}
    assert messages_of(admin.client.post(reverse(LIST), chosen, follow=True)) == ["1 webhook back to the file."]

    hook = Webhook.objects.get()
    assert (hook.url, hook.unsealed_headers()) == ("https://ci.example.com/hook", {"X-Team": "red"})
    assert sealing.unseal(bytes(hook.sealed_secret)) == SECRET
    assert origins(admin, "file") == ["ci"]
