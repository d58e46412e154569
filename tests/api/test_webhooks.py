"""Webhooks by the API."""

from typing import Any

import pytest

from tests.api.asking import answered, ask, items
from tests.caller import Caller
from webhooks import queue
from webhooks.models import Delivery, Webhook

SECRET = "a secret of the webhook, of thirty-two bytes or more"
HOOK = {"name": "ci", "url": "https://ci.example.org/hook", "events": ["manifest.push"], "secret": SECRET}


def made(root: Caller) -> dict[str, Any]:
    response = ask(root, "POST", "webhooks", HOOK)
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def test_a_webhook_is_created_and_its_secret_never_shown(root: Caller) -> None:
    body = made(root)

    assert (body["name"], body["envelope"], body["repositories"]) == ("ci", "distribution", "*")
    assert "secret" not in body
    assert SECRET not in str(answered(root, f"webhooks/{body['id']}"))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": "http://ci.example.org/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/", "allow_private": True}, "url"),
        ({"events": []}, "events"),
        ({"events": ["fly"]}, "events.0"),
        ({"repositories": "["}, "repositories"),
        ({"secret": "short"}, "secret"),
        ({"name": "a b"}, "name"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_webhook_is_told_by_field(root: Caller, values: dict[str, Any], field: str) -> None:
    response = ask(root, "POST", "webhooks", HOOK | values)

    assert (response.status_code, list(response.json()["errors"])) == (400, [field])
    assert not Webhook.objects.exists()


def test_a_new_webhook_needs_a_secret(root: Caller) -> None:
    response = ask(root, "POST", "webhooks", {name: value for name, value in HOOK.items() if name != "secret"})

    assert (response.status_code, list(response.json()["errors"])) == (400, ["secret"])


def test_a_change_leaves_the_other_fields_and_the_secret(root: Caller) -> None:
    body = made(root)
    sealed = bytes(Webhook.objects.get().sealed_secret)

    changed = ask(root, "PATCH", f"webhooks/{body['id']}", {"is_active": False}).json()

    assert changed == body | {"is_active": False}
    assert bytes(Webhook.objects.get().sealed_secret) == sealed


def test_deliveries_are_listed_and_replayed(root: Caller) -> None:
    body = made(root)
    event = ask(root, "POST", f"webhooks/{body['id']}/test").json()["event_id"]
    queue.record([queue.Result(Delivery.objects.get(), True, "200", "HTTP/1.1 200 OK")])

    (delivery,) = items(root, f"webhooks/{body['id']}/deliveries?state=delivered")
    again = ask(root, "POST", f"webhooks/{body['id']}/replay", {"first": delivery["id"], "last": delivery["id"]})

    assert (delivery["event_id"], delivery["outcome"]) == (event, "200")
    assert (again.status_code, again.json()) == (202, {"replayed": 1})
    assert Delivery.objects.get().state == "pending"
    assert answered(root, f"webhooks/{body['id']}/state")["delivered"] == 1


def test_a_deleted_webhook_is_gone_with_its_deliveries(root: Caller) -> None:
    body = made(root)
    ask(root, "POST", f"webhooks/{body['id']}/test")

    assert ask(root, "DELETE", f"webhooks/{body['id']}").status_code == 204

    assert not Delivery.objects.exists()


@pytest.mark.parametrize("path", ["webhooks", "webhooks/1", "webhooks/1/state", "webhooks/1/deliveries"])
def test_who_is_not_staff_sees_no_webhook(bob: Caller, path: str) -> None:
    assert ask(bob, "GET", path).status_code == 403


@pytest.mark.parametrize("verb", ["replay", "test"])
def test_who_is_not_staff_sends_nothing(bob: Caller, verb: str) -> None:
    assert ask(bob, "POST", f"webhooks/1/{verb}").status_code == 403
