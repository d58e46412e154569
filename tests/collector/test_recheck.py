"""What a run has found due is looked at again under its lock: what happened meanwhile counts."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.db.models import Q

from collector import expiry, sweep
from collector.report import Report
from collector.throttle import Throttle
from core.db import clock
from distribution.models import Link, Manifest, Repository, Upload
from tests.caller import Caller
from tests.collector.runs import DAY, collect, pass_time
from tests.images import Image, push_blob

APP = "alice/app"
Push = Callable[..., Image]


def _due_before() -> datetime:
    """Return the threshold of a run that begins now."""
    return clock.now() - DAY


def test_a_blob_that_is_promised_after_a_run_has_found_it_stays(alice: Caller) -> None:
    digest = push_blob(alice, APP, b"bytes")
    pass_time()
    due_before = _due_before()
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200

    removed = sweep.remove_link(Link.objects.get().pk, due_before)

    assert removed is None
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200


def test_a_blob_that_is_pushed_again_after_a_run_has_found_it_stays(alice: Caller) -> None:
    digest = push_blob(alice, APP, b"bytes")
    pass_time()
    due_before = _due_before()
    push_blob(alice, APP, b"bytes")

    removed = sweep.remove_link(Link.objects.get().pk, due_before)

    assert removed is None
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200


def test_a_manifest_that_is_promised_after_a_run_has_found_it_stays(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()
    due_before = _due_before()
    assert alice.head(f"/v2/{APP}/manifests/{image.digest}").status_code == 200

    removed = sweep.remove_manifest(Manifest.objects.get().pk, due_before)

    assert removed is None
    assert alice.head(f"/v2/{APP}/manifests/{image.digest}").status_code == 200


@pytest.mark.parametrize("model", [Manifest, Link])
def test_what_looks_unused_and_is_in_use_stays(push: Push, model: type[Manifest | Link]) -> None:
    push(APP, "v1")
    pass_time()
    model._default_manager.update(is_unreferenced=True)

    report = collect()

    assert (report.total.manifests, report.total.links, report.failures) == (0, 0, 0)
    assert not model._default_manager.filter(is_unreferenced=True).exists()


def test_an_upload_that_somebody_goes_on_with_after_a_run_has_found_it_stays(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = alice.post(f"/v2/{APP}/blobs/uploads/")["Location"]
    pass_time()
    expire = expiry._expire_locked

    def go_on_and_expire(*args: object) -> Repository | None:
        assert alice.patch(location, b"bytes", content_type="application/octet-stream").status_code == 202
        return expire(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(expiry, "_expire_locked", go_on_and_expire)
    report = Report()
    expiry.expire_uploads(clock.now(), Q(), report, Throttle())

    assert (report.uploads, report.failures) == (0, 0)
    assert Upload.objects.get().offset == len(b"bytes")
