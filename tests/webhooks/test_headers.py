"""Headers of a webhook: sent, encrypted, never shown again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from pytest_django.fixtures import Settings

from tests.webhooks.receiver import Receiver
from tests.webhooks.test_delivery import announce, deliver
from webhooks import headers
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
    assert hook.headers["Authorization"] == f"Bearer {TOKEN}"


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


@pytest.mark.parametrize("size", range(4, len(TOKEN)))
def test_the_beginning_of_a_value_that_was_cut_off_is_hidden(size: int) -> None:
    assert headers.hidden(f"token={TOKEN[:size]}", [f"Bearer {TOKEN}"]) == "token=…"


@pytest.mark.parametrize(
    "name",
    [
        *("Connection", "keep-alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization"),
        *("Proxy-Connection", "Proxy-Authenticate", "Host", "Content-Length", "Content-Type", "Content-Encoding"),
        *("User-Agent", "Expect", "X-Registry-Signature-256", "x-registry-timestamp", "X-Registry-Anything"),
        *("", "1st", "a b", "a:b", "a\r\nb", "é", "a_b", "a" * 101),
    ],
    ids=ascii,
)
def test_a_name_that_may_not_be_set_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is no header to set"):
        headers.merged({}, {name: "value"})


@pytest.mark.parametrize("value", ["", " x", "x ", "a\r\nB: c", "a\nb", "a\0b", "é", "\x7f", "v" * 4097], ids=ascii)
def test_a_value_that_may_not_be_sent_is_refused_and_not_told(value: str) -> None:
    with pytest.raises(ValidationError) as error:
        headers.merged({}, {"Authorization": value})
    assert len(str(error.value)) < 200


def test_changes_keep_the_other_headers_whatever_their_case() -> None:
    assert headers.merged({"A": "1", "B": "2", "C": "3"}, {"b": "4", "C": None, "D": "5"}) == {
        "A": "1",
        "b": "4",
        "D": "5",
    }


def test_there_are_at_most_20() -> None:
    most = {f"X-{number}": "value" for number in range(20)}
    assert headers.merged({}, most) == dict(sorted(most.items()))

    with pytest.raises(ValidationError, match="at most 20 headers"):
        headers.merged(most, {"X-Another": "value"})


@pytest.mark.parametrize("lines", ["Authorization", "A: 1\nA: 2"])
def test_lines_that_are_no_headers_are_refused(lines: str) -> None:
    with pytest.raises(ValidationError):
        headers.parse(lines)


def test_lines_are_headers_and_a_name_alone_takes_one_away() -> None:
    assert headers.parse("Authorization: Basic a:b\r\n\r\n X-Old :\r\n") == {
        "Authorization": "Basic a:b",
        "X-Old": None,
    }
