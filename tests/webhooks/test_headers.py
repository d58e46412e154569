"""Headers of a webhook: sent, encrypted, never shown again."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.webhooks.receiver import Receiver
from tests.webhooks.test_delivery import announce, deliver
from webhooks.models import Delivery, Webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]
Make = Callable[..., Webhook]
TOKEN = "a-token-of-the-receiver"


@pytest.fixture
def hook(make_hook: Make) -> Webhook:
    """Make a webhook with two headers."""
    made = make_hook()
    made.set_headers({"Authorization": f"Bearer {TOKEN}", "X-Team": "red"})
    made.save()
    return made


def test_they_are_sent_beside_the_registrys_own(hook: Webhook, receiver: Receiver) -> None:
    announce(hook, 1)
    deliver()

    (request,) = receiver.accepted
    assert (request.headers["authorization"], request.headers["x-team"]) == (f"Bearer {TOKEN}", "red")
    assert request.headers["x-registry-signature-256"].startswith("sha256=")


def test_the_column_is_encrypted(hook: Webhook) -> None:
    hook.refresh_from_db()

    assert TOKEN.encode() not in bytes(hook.sealed_headers or b"")
    assert hook.unsealed_headers()["Authorization"] == f"Bearer {TOKEN}"


def test_with_another_key_nothing_is_sent_without_them(hook: Webhook, receiver: Receiver, settings: Settings) -> None:
    settings.SECRET_KEY = "k" * 50
    # The one that signs is readable: only the headers are not.
    hook.set_secret("a new secret of the webhook, of enough characters")
    hook.save()
    announce(hook, 1)

    deliver()

    assert receiver.requests == []
    assert "set secret and headers again" in Delivery.objects.get().outcome
    assert hook.header_names == []


def test_a_secret_that_is_set_again_signs_although_the_one_before_is_unreadable(
    make_hook: Make, receiver: Receiver, settings: Settings
) -> None:
    hook = make_hook()
    settings.SECRET_KEY = "k" * 50
    hook.set_secret("a new secret of the webhook, of enough characters")
    hook.save()
    announce(hook, 1)

    deliver()

    assert Delivery.objects.get().state == "delivered"


@pytest.mark.parametrize("status", [200, 500])
def test_a_receiver_that_repeats_them_does_not_bring_them_onto_a_page(
    hook: Webhook, receiver: Receiver, status: int
) -> None:
    def repeat(handler: Any, _body: bytes) -> int:
        # In its head, whole, and at the end of what is kept, where it is cut off.
        body = f"you sent Bearer {TOKEN}, token={TOKEN} {'.' * 1500}".encode()
        return Receiver.say(handler, status, body, **{"X-Repeated": f"Bearer {TOKEN}"})

    receiver.answer = repeat
    announce(hook, 1)

    deliver()

    row = Delivery.objects.get()
    assert "X-Repeated: …" in row.response
    assert TOKEN not in row.response
    assert ("you sent …, token=…" in row.response) is (status == 500)
