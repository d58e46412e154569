"""Webhooks in the admin: a form that never shows the secret."""

import re

from django.urls import reverse

from tests.admin.browser import Browser
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
