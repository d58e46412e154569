"""Receivers with https: a certificate that does not verify ends the delivery before anything is sent."""

import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.webhooks.authority import Authority
from tests.webhooks.receiver import Receiver, receiving
from tests.webhooks.test_delivery import announce, deliver
from webhooks.models import Delivery, Webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]
Make = Callable[..., Webhook]
REFUSED = "not sent: the certificate of the receiver is not valid: "


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[Receiver]:
    """Return a receiver whose certificate is of the authority."""
    with receiving(authority.server(tmp_path)) as found:
        yield found


def delivered(hook: Webhook) -> Delivery:
    announce(hook, 1)
    deliver()
    return Delivery.objects.get()


def test_a_receiver_of_the_given_authority_gets_the_event(
    make_hook: Make, secure: Receiver, authority: Authority
) -> None:
    row = delivered(make_hook(url=secure.url, allow_http=False, ca=authority.pem))

    assert (row.state, row.outcome) == ("delivered", "200")
    assert len(secure.accepted) == 1


@pytest.mark.parametrize("trusted", ["system", "another"])
def test_one_of_no_known_authority_gets_nothing(make_hook: Make, secure: Receiver, trusted: str) -> None:
    ca = Authority("another").pem if trusted == "another" else ""

    row = delivered(make_hook(url=secure.url, ca=ca))

    assert (row.state, row.outcome) == ("pending", f"{REFUSED}unable to get local issuer certificate")
    assert secure.requests == []


def test_a_certificate_that_has_ended_gets_nothing(make_hook: Make, authority: Authority, tmp_path: Path) -> None:
    with receiving(authority.server(tmp_path, lifetime=timedelta(days=-1))) as receiver:
        row = delivered(make_hook(url=receiver.url, ca=authority.pem))

        assert (row.state, row.outcome) == ("pending", f"{REFUSED}certificate has expired")
        assert receiver.requests == []


def test_a_certificate_for_another_address_gets_nothing(make_hook: Make, authority: Authority, tmp_path: Path) -> None:
    with receiving(authority.server(tmp_path, address="192.0.2.1")) as receiver:
        row = delivered(make_hook(url=receiver.url, ca=authority.pem))

        reason = "IP address mismatch, certificate is not valid for '127.0.0.1'."
        assert (row.state, row.outcome) == ("pending", f"{REFUSED}{reason}")
        assert receiver.requests == []


def test_no_permission_turns_the_verification_off(
    make_hook: Make, secure: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that a webhook may be allowed, and the usual variables of other programs."""
    for name in ("PYTHONHTTPSVERIFY", "NODE_TLS_REJECT_UNAUTHORIZED"):
        monkeypatch.setenv(name, "0")
    hook = make_hook(url=secure.url, allow_http=True, allow_private=True)

    assert delivered(hook).state == "pending"
    assert secure.requests == []


def test_a_receiver_with_an_old_protocol_gets_nothing(make_hook: Make, authority: Authority, tmp_path: Path) -> None:
    context = authority.server(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with receiving(context) as receiver:
        row = delivered(make_hook(url=receiver.url, ca=authority.pem))

        assert row.state == "pending"
        assert "SSL" in row.outcome
        assert receiver.requests == []


def test_a_receiver_without_tls_is_not_spoken_to_in_plain(make_hook: Make, receiver: Receiver) -> None:
    row = delivered(make_hook(url=receiver.url.replace("http://", "https://")))

    assert row.state == "pending"
    assert receiver.accepted == []
