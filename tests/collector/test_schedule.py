"""Space comes back by itself: what the runs of the schedule do as intervals go by."""

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F

from collector.jobs import due
from collector.models import Run
from tests.caller import Caller
from tests.collector.runs import DAY, pass_time
from tests.collector.storage import objects
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest

APP = "alice/app"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
Push = Callable[..., Image]


def _let_the_server_run(duration: timedelta, step: timedelta) -> None:
    """Let time pass, with a look for what is due after each step."""
    for _ in range(duration // step):
        pass_time(step)
        Run.objects.update(started_at=F("started_at") - step)
        assert due.run_due()


def test_the_space_of_a_deleted_tag_is_back_within_the_grace_period_and_two_intervals(
    push: Push, alice: Caller, configured: Callable[..., None]
) -> None:
    configured(grace_period=DAY, interval=6 * HOUR, remove_untagged=True)
    push(APP, "v1")
    assert due.run_due()
    # The worst of moments: a run has just ended.
    assert alice.delete(f"/v2/{APP}/manifests/v1").status_code == 202
    _let_the_server_run(DAY - HOUR, HOUR)
    assert objects()

    _let_the_server_run(HOUR + 2 * 6 * HOUR, 15 * MINUTE)

    assert objects() == set()


def test_the_space_of_a_whole_index_is_back_within_the_grace_period_and_two_intervals(
    push: Push, alice: Caller, configured: Callable[..., None]
) -> None:
    configured(grace_period=HOUR, interval=HOUR, remove_untagged=True)
    image = push(APP, "child")
    parent = index(image.payload)
    assert put_manifest(alice, APP, "v1", parent).status_code == 201
    signature = manifest(b"{}", subject=descriptor(parent))
    push_blob(alice, APP, b"{}")
    assert put_manifest(alice, APP, digest_of(signature), signature).status_code == 201
    assert due.run_due()
    for tag in ("child", "v1"):
        assert alice.delete(f"/v2/{APP}/manifests/{tag}").status_code == 202

    _let_the_server_run(3 * HOUR, 15 * MINUTE)

    assert objects() == set()


def test_a_changed_grace_period_counts_in_the_next_run_for_what_is_idle_already(
    push: Push, alice: Caller, configured: Callable[..., None]
) -> None:
    configured(grace_period=DAY, interval=HOUR, remove_untagged=True)
    push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    _let_the_server_run(3 * HOUR, HOUR)
    assert objects()

    configured(grace_period=2 * HOUR, interval=HOUR, remove_untagged=True)
    _let_the_server_run(2 * HOUR, HOUR)

    assert objects() == set()
