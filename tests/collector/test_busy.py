"""What another transaction holds is left in peace: a run never waits for a push."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
from django.db import connection, transaction
from django.db.models import Model, QuerySet

from distribution.models import Blob, Link, Manifest, Upload
from distribution.usage.quotas import Room
from policies.models import Quota
from tests.caller import Caller
from tests.collector.other_thread import in_other_thread
from tests.collector.runs import collect, pass_time
from tests.images import Image, index, push_blob, put_manifest

APP = "alice/app"
Push = Callable[..., Image]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _row_locks(db: None) -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer at a time: nothing is ever busy")


@contextmanager
def _locked(rows: QuerySet[Model]) -> Iterator[None]:
    """Hold the rows in a transaction of another connection."""
    with _held(lambda: list(rows.select_for_update())):
        yield


@contextmanager
def _held(lock: Callable[[], object]) -> Iterator[None]:
    @contextmanager
    def hold() -> Iterator[None]:
        with transaction.atomic():
            lock()
            yield

    with in_other_thread(hold()):
        yield


@pytest.fixture
def untagged(push: Push, alice: Caller) -> Image:
    """Have an image without a tag, unused for two days."""
    image = push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()
    return image


@pytest.mark.parametrize("model", [Manifest, Link])
def test_a_manifest_is_left_while_it_or_a_link_of_it_is_busy(untagged: Image, model: type[Model]) -> None:
    with _locked(model._default_manager.all()):
        report = collect()

    assert (report.total.manifests, report.failures) == (0, 0)
    assert report.busy > 0
    assert collect().total.manifests == 1


def test_a_manifest_is_left_while_another_of_its_family_is_busy(push: Push, alice: Caller) -> None:
    """Its child would else go on looking held, and its space never come back."""
    image = push(APP, "v1")
    listed = put_manifest(alice, APP, "all", index(image.payload))
    assert listed.status_code == 201
    for tag in ("v1", "all"):
        alice.delete(f"/v2/{APP}/manifests/{tag}")
    pass_time()

    with _locked(Manifest.objects.filter(digest=image.digest)):
        report = collect()

    assert (report.total.manifests, report.failures) == (0, 0)
    assert report.busy > 0
    assert collect().total.manifests == 2


def test_a_manifest_goes_while_its_blobs_are_busy(untagged: Image) -> None:
    """Whoever holds a blob may wait for a link of it: who holds the link must not wait for the blob, nor at COMMIT."""
    with _locked(Blob.objects.all()):
        report = collect()

    assert (report.total.manifests, report.total.links, report.failures) == (1, 0, 0)


def test_a_manifest_is_deleted_while_its_blobs_are_busy(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")

    with _locked(Blob.objects.all()):
        response = alice.delete(f"/v2/{APP}/manifests/{image.digest}")

    assert response.status_code == 202


@pytest.mark.parametrize("model", [Blob, Link])
def test_a_link_is_left_while_it_or_its_blob_is_busy(alice: Caller, model: type[Model]) -> None:
    push_blob(alice, APP, b"alone")
    pass_time()

    with _locked(model._default_manager.all()):
        report = collect()

    assert (report.total.links, report.busy) == (0, 1)
    assert collect().total.links == 1


def test_an_upload_is_left_while_it_is_busy(alice: Caller) -> None:
    alice.post(f"/v2/{APP}/blobs/uploads/")
    pass_time()

    with _locked(Upload.objects.all()):
        report = collect()

    assert (report.uploads, report.busy) == (0, 1)
    assert collect().uploads == 1


def test_a_link_is_left_while_a_push_counts_in_its_quota(alice: Caller) -> None:
    Quota.objects.create(repositories="alice/*", max_size=1024)
    push_blob(alice, APP, b"a")
    pass_time()

    with _held(Room.of(APP).lock):
        began_at = monotonic()
        report = collect()

    assert monotonic() - began_at < 30
    assert (report.total.links, report.busy, report.failures) == (0, 1, 0)
    assert collect().total.links == 1
