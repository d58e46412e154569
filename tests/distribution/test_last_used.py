"""What was answered with 200 is promised: `last_used_at` is renewed once it is older than half the grace period."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from pytest_django import Settings

from distribution import last_used
from distribution.models import Link, Manifest, Tag
from tests.caller import Caller, content
from tests.images import Image, push_blob, push_image, put_manifest


def age(rows: Any, **ago: float) -> datetime:
    """Let `last_used_at` lie so long ago, and return it as it is stored."""
    rows.update(last_used_at=now() - timedelta(**ago))
    return rows.get().last_used_at  # type: ignore[no-any-return]


def half_of_grace() -> float:
    """Return half the grace period in seconds."""
    return float(settings.REGISTRY.garbage_collector.grace_period.total_seconds() / 2)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_old_last_used_at_of_a_blob_is_touched(alice: Caller, method: str) -> None:
    digest = push_blob(alice, "alice/app", b"")
    before = age(Link.objects.all(), seconds=half_of_grace() + 5)

    content(alice.send(method, f"/v2/alice/app/blobs/{digest}"))

    assert Link.objects.get().last_used_at > before + timedelta(seconds=half_of_grace())


def test_a_recent_last_used_at_is_left(alice: Caller) -> None:
    digest = push_blob(alice, "alice/app", b"")
    before = age(Link.objects.all(), seconds=half_of_grace() - 5)

    alice.head(f"/v2/alice/app/blobs/{digest}")

    assert Link.objects.get().last_used_at == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_an_old_last_used_at_of_a_manifest_is_touched(
    alice: Caller, push: Callable[..., Image], method: str, by: str
) -> None:
    image = push()
    before = age(Manifest.objects.all(), seconds=half_of_grace() + 5)

    alice.send(method, f"/v2/alice/app/manifests/{'v1' if by == 'tag' else image.digest}")

    assert Manifest.objects.get().last_used_at > before


def test_a_pull_touches_no_other_row(alice: Caller) -> None:
    digest = push_blob(alice, "alice/app", b"")
    push_blob(alice, "alice/other", b"")
    old = now() - timedelta(days=30)
    Link.objects.update(last_used_at=old)

    alice.head(f"/v2/alice/app/blobs/{digest}")

    assert Link.objects.get(repository__name="alice/other").last_used_at == old


@pytest.mark.parametrize("verb", ["push", "mount", "upload"])
def test_pushing_a_blob_again_touches_its_link(alice: Caller, verb: str) -> None:
    digest = push_blob(alice, "alice/app", b"")
    before = age(Link.objects.all(), seconds=60)
    query = f"mount={digest}&from=alice/app" if verb == "mount" else f"digest={digest}"

    alice.post(f"/v2/alice/app/blobs/uploads/?{query}")

    assert Link.objects.get().last_used_at > before


def test_putting_a_manifest_again_touches_it(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    before = age(Manifest.objects.all(), seconds=60)

    put_manifest(alice, "alice/app", "v1", image.payload)

    assert Manifest.objects.get().last_used_at > before


@pytest.mark.parametrize("request_path", ["manifests/v1", "manifests/digest"])
def test_removing_the_last_reference_sets_last_used_at(
    alice: Caller, push: Callable[..., Image], request_path: str
) -> None:
    image = push()
    rows = Link.objects if "digest" in request_path else Manifest.objects
    rows.update(last_used_at=now() - timedelta(days=9))

    alice.delete(f"/v2/alice/app/{request_path.replace('digest', image.digest)}")

    assert all(row.last_used_at > now() - timedelta(minutes=1) for row in rows.all())


def test_removing_the_last_reference_never_sets_last_used_at_back(alice: Caller, push: Callable[..., Image]) -> None:
    push()
    ahead = now() + timedelta(days=1)
    Manifest.objects.update(last_used_at=ahead)

    alice.delete("/v2/alice/app/manifests/v1")

    assert Manifest.objects.get().last_used_at == ahead


def test_touching_a_missing_row_reports_it(db: None) -> None:
    assert not last_used.touch("distribution_link", 12345)


def test_a_row_deleted_between_select_and_touch_is_404(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = push_blob(alice, "alice/app", b"")
    age(Link.objects.all(), days=30)
    real = last_used.touch

    def collected_first(table: str, pk: int) -> bool | None:
        Link.objects.filter(pk=pk).delete()
        return real(table, pk)

    monkeypatch.setattr(last_used, "touch", collected_first)

    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 404


def test_a_row_deleted_before_a_deferred_touch_is_404(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = push_blob(alice, "alice/app", b"")
    age(Link.objects.all(), days=30)

    def collected_before_it_was_remembered(table: str, pk: int) -> None:
        Link.objects.filter(pk=pk).delete()

    monkeypatch.setattr(last_used, "touch", collected_before_it_was_remembered)

    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 404


def test_a_tag_that_moves_during_a_deferred_touch_serves_and_touches_its_new_manifest(
    alice: Caller, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = push(), push(tag="v2", content=b"another layer")
    Manifest.objects.update(last_used_at=now() - timedelta(days=30))
    asked: list[int] = []

    def move_and_remember(table: str, pk: int) -> None:
        asked.append(pk)
        Tag.objects.filter(name="v1").update(manifest=Manifest.objects.get(digest=second.digest))

    monkeypatch.setattr(last_used, "touch", move_and_remember)

    answer = alice.head("/v2/alice/app/manifests/v1")

    assert answer["Docker-Content-Digest"] == second.digest
    assert asked == [Manifest.objects.get(digest=image.digest).pk for image in (first, second)]


def queries_of(caller: Caller, method: str, path: str) -> int:
    """Return how many statements a request makes."""
    content(caller.send(method, path))
    with CaptureQueriesContext(connection) as captured:
        content(caller.send(method, path))
    return len(captured)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_pull_asks_for_the_epoch_and_for_what_is_pulled(alice: Caller, method: str) -> None:
    image = push_image(alice, "alice/app", "v1")

    assert queries_of(alice, method, f"/v2/alice/app/blobs/{image.layers[0]}") == 2
    assert queries_of(alice, method, "/v2/alice/app/manifests/v1") == 2
    assert queries_of(alice, method, f"/v2/alice/app/manifests/{image.digest}") == 2


def test_a_pull_of_an_old_manifest_writes_once(alice: Caller) -> None:
    image = push_image(alice, "alice/app", "v1")
    path = f"/v2/alice/app/manifests/{image.digest}"
    alice.head(path)
    age(Manifest.objects.all(), days=30)

    with CaptureQueriesContext(connection) as first:
        alice.head(path)
    with CaptureQueriesContext(connection) as second:
        alice.head(path)

    assert (len(first), len(second)) == (3, 2)


@pytest.fixture
def outrun(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no grace period, so that each answer renews, and another request always renew first."""
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
    Link.objects.update(last_used_at=now() - timedelta(hours=1))
    return digest


def test_a_blob_that_other_requests_renew_first_is_200(alice: Caller, outrun: None) -> None:
    digest = push_old_blob(alice)

    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 200


def test_a_blob_deleted_by_another_touch_is_404(alice: Caller, monkeypatch: pytest.MonkeyPatch, outrun: None) -> None:
    digest = push_old_blob(alice)

    def go_first(*_: object) -> bool:
        Link.objects.all().delete()
        return False

    monkeypatch.setattr(last_used, "touch", go_first)

    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 404
