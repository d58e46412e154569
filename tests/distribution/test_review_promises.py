"""A crowd that asks for one thing at once, with a grace period so short that every answer renews its promise."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from distribution import last_used
from distribution.models import Link
from tests.caller import Caller
from tests.images import push_blob


@pytest.fixture
def outrun(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no grace period, and another request always renew the promise first."""
    section = replace(settings.REGISTRY.garbage_collector, grace_period=timedelta(0))
    settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=section)
    renew = last_used.touch

    def renew_after_another(table: str, pk: int) -> bool:
        renew(table, pk)
        return False

    monkeypatch.setattr(last_used, "touch", renew_after_another)


def push_old_blob(alice: Caller) -> str:
    """Push a blob whose promise is an hour old, however fast the push was."""
    digest = push_blob(alice, "alice/app", b"a blob that everybody wants")
    Link.objects.update(last_used_at=timezone.now() - timedelta(hours=1))
    return digest


def test_what_others_renew_all_the_time_is_found(alice: Caller, outrun: None) -> None:
    digest = push_old_blob(alice)

    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 200


def test_what_goes_meanwhile_is_404(alice: Caller, monkeypatch: pytest.MonkeyPatch, outrun: None) -> None:
    digest = push_old_blob(alice)

    def go_first(*_: object) -> bool:
        Link.objects.all().delete()
        return False

    monkeypatch.setattr(last_used, "touch", go_first)

    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 404
