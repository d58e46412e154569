"""Signatures, checked by what the documentation says, and secrets that nothing shows."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from core.db import clock
from tests.webhooks.conftest import SECRET
from webhooks import post, queue, sealing
from webhooks.models import Webhook

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
NEW = "another secret of thirty-two bytes or more"
pytestmark = pytest.mark.django_db


@pytest.fixture
def is_genuine() -> Callable[..., bool]:
    (snippet,) = re.findall(r"<!-- verifies -->\n```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    found: Callable[..., bool] = names["is_genuine"]
    return found


def signed(hook: Webhook, body: bytes = b"{}", at: float | None = None) -> dict[str, str]:
    timestamp = str(int(time.time() if at is None else at))
    secrets = post.secrets_of(hook, clock.now())
    return {"x-registry-timestamp": timestamp, "x-registry-signature-256": post.signature(secrets, timestamp, body)}


def test_the_documented_check_accepts_a_request(make_hook: Any, is_genuine: Callable[..., bool]) -> None:
    assert is_genuine(SECRET, signed(make_hook()), b"{}")


def test_another_body_secret_or_time_is_refused(make_hook: Any, is_genuine: Callable[..., bool]) -> None:
    hook = make_hook()

    assert not is_genuine(SECRET, signed(hook), b"[]")
    assert not is_genuine(NEW, signed(hook), b"{}")
    assert not is_genuine(SECRET, signed(hook, at=time.time() - 600), b"{}")
    assert not is_genuine(SECRET, signed(hook) | {"x-registry-timestamp": str(int(time.time()) + 1)}, b"{}")


def test_a_replaced_secret_signs_too_for_a_day(make_hook: Any, is_genuine: Callable[..., bool]) -> None:
    hook = make_hook()
    hook.set_secret(NEW)
    hook.save()

    assert is_genuine(SECRET, signed(hook), b"{}")
    assert is_genuine(NEW, signed(hook), b"{}")

    hook.previous_secret_until = clock.now() - timedelta(seconds=1)
    assert not is_genuine(SECRET, signed(hook), b"{}")


def test_the_database_has_no_secret_in_clear(make_hook: Any) -> None:
    assert SECRET.encode() not in bytes(make_hook().sealed_secret)


def test_with_another_key_the_secret_has_to_be_set_again(make_hook: Any, settings: Settings) -> None:
    hook = make_hook()
    settings.SECRET_KEY = "another key of the registry, of thirty-two bytes"

    with pytest.raises(sealing.UnreadableSecretError, match="set secret and headers again"):
        post.secrets_of(hook, clock.now())


def test_a_failing_webhook_is_named(make_hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FAILING_AFTER", 1)
    hook = make_hook("ci")
    queue.test(hook, "alice")
    (row,) = hook.deliveries.all()

    queue.record([queue.Result(row, False, "503 Service Unavailable")])

    assert queue.failing() == ["ci"]
