"""Pulls and pushes are counted in batches."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError
from django.utils.timezone import now

from core.db.statement import Statement
from distribution.models import Blob, DailyUse, Manifest, Repository, Tag
from distribution.protocol import spec
from distribution.usage import counter
from distribution.usage.counter import Recorder
from tests.caller import Caller
from tests.clients.server import Server, started
from tests.collector.runs import collect, pass_time
from tests.images import Image, index, push_blob, push_image


@pytest.fixture(autouse=True)
def _nothing_counted() -> Iterator[None]:
    counter._events.clear()
    yield
    counter._events.clear()


def use_of(repository: str) -> tuple[int, int]:
    row = DailyUse.objects.get(repository=repository)
    return row.pulls, row.pushes


def test_pulls_and_pushes_are_added_up_by_repository_and_day(alice: Caller, push: Callable[..., Image]) -> None:
    recorder, image = Recorder(), push()
    push("alice/other")
    for reference in ("v1", "v1", image.digest):
        assert alice.get(f"/v2/alice/app/manifests/{reference}").status_code == 200
    recorder.store()
    assert alice.get("/v2/alice/app/manifests/v1").status_code == 200

    recorder.store()

    assert use_of("alice/app") == (4, 1)
    assert use_of("alice/other") == (0, 1)
    assert DailyUse.objects.get(repository="alice/app").day == now().date()


def test_a_pull_by_tag_sets_the_times_of_repository_tag_and_manifest(alice: Caller, push: Callable[..., Image]) -> None:
    push()
    push(tag="v2")
    alice.get("/v2/alice/app/manifests/v1")

    Recorder().store()

    repository = Repository.objects.get()
    assert repository.pulled_at is not None
    assert repository.pushed_at is not None
    assert Manifest.objects.get().pulled_at is not None
    pulled = dict(Tag.objects.values_list("name", "pulled_at"))
    assert pulled["v1"] is not None
    assert pulled["v2"] is None


def test_a_head_of_a_tag_is_a_use_of_the_tag_and_no_pull(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    alice.head("/v2/alice/app/manifests/v1")
    alice.head(f"/v2/alice/app/manifests/{image.digest}")

    Recorder().store()

    assert Tag.objects.get().pulled_at is not None
    assert Manifest.objects.get().pulled_at is None
    assert use_of("alice/app") == (0, 1)


def test_a_request_that_fails_counts_nothing(alice: Caller, bob: Caller, push: Callable[..., Image]) -> None:
    push()
    Recorder().store()
    alice.get("/v2/alice/app/manifests/missing")
    bob.put("/v2/alice/app/manifests/v1", b"{}", scopes=("repository:alice/app:pull,push",))

    Recorder().store()

    assert use_of("alice/app") == (0, 1)


def test_a_recent_time_is_left(alice: Caller, push: Callable[..., Image]) -> None:
    push()
    alice.get("/v2/alice/app/manifests/v1")
    before = now() - timedelta(seconds=50)
    Tag.objects.update(pulled_at=before)

    Recorder().store()

    assert Tag.objects.get().pulled_at == before


def test_counts_that_can_not_be_stored_are_stored_later(
    alice: Caller, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    push()
    alice.get("/v2/alice/app/manifests/v1")

    def fail(_self: Statement, *_parameters: object) -> int:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(Statement, "run", fail)
        recorder.store()
    assert not DailyUse.objects.exists()

    recorder.store()

    assert use_of("alice/app") == (1, 1)


def test_the_size_of_a_repository_is_that_of_its_blobs(alice: Caller) -> None:
    push_image(alice, "alice/app", "v1", b"four")
    push_image(alice, "alice/other", "v1", b"four and more")

    Recorder().store()

    sizes = Blob.objects.filter(links__repository__name="alice/app").values_list("size", flat=True)
    assert len(sizes) == 2
    assert Repository.objects.get(name="alice/app").size == sum(sizes)


def test_a_collection_sums_what_stays_and_what_was_never_summed(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    push(repository="alice/old")
    Recorder().store()
    Repository.objects.filter(name="alice/old").update(size=None)
    push_blob(alice, "alice/app", b"of no manifest")
    pass_time()

    collect()

    config_and_layer = Blob.objects.filter(digest__in=[image.config, *image.layers])
    expected = sum(config_and_layer.values_list("size", flat=True))
    assert list(Repository.objects.values_list("size", flat=True)) == [expected, expected]


def test_a_collection_forgets_daily_counts_of_more_than_a_year(db: None) -> None:
    today = now().date()
    for days in (0, 399, 401):
        DailyUse.objects.create(repository="alice/app", day=today - timedelta(days=days), pulls=1)

    collect()

    assert [(today - row.day).days for row in DailyUse.objects.order_by("-day")] == [0, 399]


def test_a_worker_stores_its_last_counts_when_it_ends(tmp_path: Path) -> None:
    with started(Server(tmp_path)) as server:
        bearer = f"Bearer {server.token('alice', 'repository:alice/app:pull,push')}"
        path, media_type = "/v2/alice/app/manifests/v1", {"Content-Type": spec.OCI_INDEX}
        assert server.request("PUT", path, authorization=bearer, body=index(), more=media_type).status == 201
        for _ in range(3):
            assert server.request("GET", path, authorization=bearer).status == 200

        server.end()

        found = server.rows("SELECT sum(pulls), sum(pushes) FROM distribution_dailyuse WHERE repository = 'alice/app'")
        assert [int(count) for count in found[0]] == [3, 1]
