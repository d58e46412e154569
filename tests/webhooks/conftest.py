"""A receiver, and a webhook that sends to it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.webhooks.receiver import Receiver, receiving
from webhooks import lease, queue
from webhooks.models import Webhook

SECRET = "a secret of the webhook, of thirty-two bytes or more"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def make_hook(receiver: Receiver) -> Callable[..., Webhook]:
    def make(name: str = "ci", **values: Any) -> Webhook:
        hook = Webhook(**{"name": name, "url": receiver.url, "allow_http": True, "allow_private": True} | values)
        hook.set_secret(SECRET)
        hook.save()
        return hook

    return make


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries wait milliseconds, not seconds."""
    monkeypatch.setattr(queue, "FIRST_RETRY", timedelta(milliseconds=2))
    monkeypatch.setattr(queue, "LAST_RETRY", timedelta(milliseconds=20))
    monkeypatch.setattr(queue, "LAST_PROBE", timedelta(milliseconds=5))
    monkeypatch.setattr("webhooks.deliverer.POLL_SECONDS", 0.02)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
