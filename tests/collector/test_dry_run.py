"""What a dry run lists is what a run at the same moment removes."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import connection
from django.db.models.functions import Now

from collector import batches, collection, policy
from collector.policy import Policy
from collector.report import Report, names_of, table
from collector.throttle import StopError, Throttle
from core.db.statement import Statement
from distribution.models import Blob, Link, Manifest, Repository, Tag, Trash, Upload
from tests.caller import Caller
from tests.collector.graph import Graph
from tests.collector.runs import DAY, collect, forecast, pass_time
from tests.images import Image, push_blob

APP = "alice/app"
Push = Callable[..., Image]


def _rows() -> list[object]:
    tables = (Repository, Manifest, Link, Blob, Tag, Upload, Trash)
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


def test_a_dry_run_changes_nothing(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    push_blob(alice, APP, b"alone")
    alice.post(f"/v2/{APP}/blobs/uploads/")
    pass_time()
    before = _rows()

    assert forecast()

    assert _rows() == before


def test_a_dry_run_says_why(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()

    findings = list(collection.forecast(Policy(DAY, remove_untagged=True), Report()))

    reasons = {finding.name: finding.reason for finding in findings if finding.kind == "manifest"}
    assert "no tag, index or subject keeps it" in reasons[image.digest]
    of_links = {finding.reason for finding in findings if finding.kind == "link"}
    assert of_links == {"used only by manifests that are removed too"}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("remove_untagged", [True, False])
def test_a_dry_run_finds_what_a_run_removes(prepared: None, seed: int, remove_untagged: bool) -> None:
    Graph(random.Random(seed)).grow()
    found = Counter(forecast(remove_untagged=remove_untagged))
    before = Counter(_present())

    collect(remove_untagged=remove_untagged)

    assert before - Counter(_present()) == found


# Among these are graphs in which each of an index, a subject, the order of repositories and a later run decides.
@pytest.mark.parametrize("seed", [1, 2, 5, 8, 24])
@pytest.mark.parametrize("repository", ["", "random/*"])
def test_a_dry_run_says_the_table_of_the_run(
    prepared: None, monkeypatch: pytest.MonkeyPatch, seed: int, repository: str
) -> None:
    """The bytes of a blob that several repositories share count where it is let go of last."""
    monkeypatch.setattr(policy, "BATCH", 1)
    Graph(random.Random(seed), 3, untagged=0.95).grow()
    if seed % 2:
        pass_time()
    rules, expected, done = Policy(DAY, remove_untagged=True, repository=repository), Report(), Report()
    list(collection.forecast(rules, expected))

    collection.collect(rules, done, Throttle())
    collection.count_later_bytes(rules, done)

    names = names_of(done) | names_of(expected)
    assert done.total.freed_bytes + done.total.later_bytes > 0
    assert table(expected, names) == table(done, names)


def test_random_graphs_have_everything_that_may_go(prepared: None) -> None:
    for seed in range(3):
        Graph(random.Random(seed)).grow()

    findings = list(collection.forecast(Policy(DAY, remove_untagged=True), Report()))

    assert {finding.kind for finding in findings} == {"manifest", "link", "blob", "upload"}
    assert {finding.reason.split()[0] for finding in findings if finding.kind == "manifest"} == {"no", "listed", "its"}


def test_a_row_that_looks_held_and_is_not_is_left_by_both(push: Push) -> None:
    push(APP, "v1")
    Tag.objects.all().delete()
    pass_time()

    assert forecast() == []
    assert collect().repositories == {}


def test_a_row_that_looks_idle_and_is_held_is_kept_and_mended(push: Push) -> None:
    push(APP, "v1")
    Manifest.objects.update(is_unreferenced=True)
    Link.objects.update(is_unreferenced=True)
    pass_time()

    assert forecast() == []
    assert collect().repositories == {}
    assert not Manifest.objects.filter(is_unreferenced=True).exists()
    assert not Link.objects.filter(is_unreferenced=True).exists()


@pytest.fixture
def expired(prepared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nine old uploads and nine objects in the trash, of two moments in two forms of writing, and small pages."""
    monkeypatch.setattr(batches, "BATCH", 2)
    here = Repository.objects.create(name=APP)
    for number in range(9):
        upload = Upload.objects.create(repository=here, active_at=Now())
        row = Trash.objects.create(key=f"objects/00/{number}", delete_after=Now())
        # To SQLite, which compares times as text, the longer one is later.
        moment = f"2020-01-01 00:00:0{number % 2}.123{'000' if number % 4 < 2 else ''}"
        Statement("UPDATE distribution_upload SET active_at = %s::timestamptz WHERE id = %s").run(moment, upload.pk)
        Statement("UPDATE distribution_trash SET delete_after = %s::timestamptz WHERE id = %s").run(moment, row.pk)


def test_each_upload_and_object_is_found_once_page_by_page(expired: None) -> None:
    found = Counter(kind for kind, _, _ in set(forecast()))

    assert found == {"upload": 9, "object": 9}
    assert len(forecast()) == 18


@pytest.mark.parametrize("kind", ["upload", "object"])
def test_a_dry_run_ends_in_time_whatever_it_looks_for(expired: None, kind: str) -> None:
    report = Report()

    def watch() -> None:
        if report.objects if kind == "object" else report.uploads:
            raise StopError("out of time")

    with pytest.raises(StopError):
        list(collection.forecast(Policy(DAY, remove_untagged=True), report, Throttle(watch)))

    assert (report.uploads, report.objects) == ((2, 0) if kind == "upload" else (9, 2))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["upload", "object"])
def test_a_reader_who_takes_time_keeps_nothing_open(expired: None, kind: str) -> None:
    """On SQLite an open statement would keep what is written meanwhile from going into the database's file."""
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL keeps no statement open for who reads on")
    findings = collection.forecast(Policy(DAY, remove_untagged=True), Report())
    next(finding for finding in findings if finding.kind == kind)

    def write_and_move() -> tuple[int, int, int]:
        try:
            Repository.objects.update(is_listed=True)
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
                busy, written, moved = cursor.fetchone()
            return busy, written, moved
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as others:
        busy, written, moved = others.submit(write_and_move).result()

    assert busy == 0
    assert moved == written > 0
    findings.close()  # type: ignore[attr-defined]  # a generator


def _present() -> list[tuple[str, str, str]]:
    return [
        *(("manifest", *row) for row in Manifest.objects.values_list("repository__name", "digest")),
        *(("link", *row) for row in Link.objects.values_list("repository__name", "blob__digest")),
        *(("upload", name, str(pk)) for name, pk in Upload.objects.values_list("repository__name", "pk")),
        *(("blob", "", digest) for digest in Blob.objects.values_list("digest", flat=True)),
    ]


def test_a_dry_run_that_is_stopped_counts_nothing_twice(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()
    report = Report()

    def watch() -> None:
        if report.total.later_bytes:
            raise StopError("told to stop")

    with suppress(StopError):
        list(collection.forecast(Policy(DAY, remove_untagged=True), report, Throttle(watch)))

    assert report.total.freed_bytes > 0
    assert report.total.later_bytes == 0
