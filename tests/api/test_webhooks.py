"""Webhooks by the API."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from pytest_django.fixtures import Settings

from accounts.models import Account
from configuration.webhooks import WebhookEntry
from provisioning import importing
from tests.api.asking import answered, ask, items
from tests.caller import Caller
from tests.webhooks.authority import Authority
from webhooks import queue
from webhooks.models import Delivery, Webhook

SECRET = "a secret of the webhook, of thirty-two bytes or more"
HOOK = {"name": "ci", "url": "https://ci.example.org/hook", "events": ["manifest.push"], "secret": SECRET}


def made(root: Caller, **values: Any) -> dict[str, Any]:
    response = ask(root, "POST", "webhooks", HOOK | values)
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


def test_headers_are_set_and_taken_away_and_their_values_never_shown(root: Caller) -> None:
    body = made(root, headers={"Authorization": "Bearer a-token", "X-Team": "red"})
    assert body["header_names"] == ["Authorization", "X-Team"]

    changed = ask(root, "PATCH", f"webhooks/{body['id']}", {"headers": {"x-team": None, "X-Other": "1"}})

    assert (changed.status_code, changed.json()["header_names"]) == (200, ["Authorization", "X-Other"])
    assert Webhook.objects.get().unsealed_headers() == {"Authorization": "Bearer a-token", "X-Other": "1"}
    told = f"{body}{changed.json()}{answered(root, 'webhooks')}{answered(root, 'webhooks/' + str(body['id']))}"
    assert "a-token" not in told
    assert "headers'" not in told


def test_headers_do_not_go_to_another_server_unless_they_are_given_again(root: Caller) -> None:
    body = made(root, headers={"Authorization": "Bearer a-token"})
    change: dict[str, Any] = {"url": "https://evil.example.org/"}

    refused = ask(root, "PATCH", f"webhooks/{body['id']}", change)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["headers"])
    assert Webhook.objects.get().url == HOOK["url"]
    assert (
        ask(root, "PATCH", f"webhooks/{body['id']}", change | {"headers": {"Authorization": None}}).status_code == 200
    )
    assert Webhook.objects.get().unsealed_headers() == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other"},
        {"X-Registry-Timestamp": "0"},
        {"Transfer-Encoding": "chunked"},
        {"X": "a\r\nY: b"},
        {"X\r\nY": "b"},
        {"X": "v" * 4097},
        {"X": 1},
        {f"X-{number}": "v" for number in range(21)},
        ["Authorization"],
        "Authorization: x",
    ],
    ids=lambda headers: str(headers)[:30],
)
def test_headers_that_may_not_be_sent_are_refused(root: Caller, headers: Any) -> None:
    response = ask(root, "POST", "webhooks", HOOK | {"headers": headers})

    assert response.status_code == 400
    assert {name.partition(".")[0] for name in response.json()["errors"]} == {"headers"}
    assert not Webhook.objects.exists()


def test_an_authority_is_given_as_certificates(root: Caller) -> None:
    pem = Authority().pem

    assert made(root, ca=pem)["ca"] == pem.strip()
    refused = ask(root, "POST", "webhooks", HOOK | {"name": "other", "ca": "no certificate"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["ca"])


def test_origin_tells_whether_it_is_of_the_file(root: Caller, settings: Settings) -> None:
    entry = WebhookEntry("of-the-file", "https://ci.example.org/", SECRET)
    importing.apply(replace(settings.REGISTRY, webhooks=(entry,)))
    body = made(root)
    assert body["origin"] == "admin"
    listed = items(root, "webhooks")
    assert {hook["name"]: hook["origin"] for hook in listed} == {"of-the-file": "file", "ci": "admin"}

    changed = ask(root, "PATCH", f"webhooks/{listed[0]['id']}", {"repositories": "a/*"})

    assert changed.json()["origin"] == "file, edited since"


def test_an_export_has_webhooks_for_who_may_see_them(root: Caller, bob: Caller) -> None:
    made(root)
    account = Account.objects.get(name="bob")
    Account.objects.filter(pk=account.pk).update(is_staff=True)
    names = ("view_account", "view_group", "view_rule")
    account.user_permissions.set(Permission.objects.filter(codename__in=names))

    assert b"ci.example.org" in ask(root, "GET", "configuration").content
    answer = ask(bob, "GET", "configuration")
    assert answer.status_code == 200
    assert b"ci.example.org" not in answer.content
