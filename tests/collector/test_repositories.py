"""Repositories in which nothing is left go with the next run; a deletion that was interrupted is finished."""

from collections.abc import Callable

import pytest
from django.core.management import call_command

from acl.names import RepositoryName
from collector import repositories, runs
from collector.jobs import due
from collector.models import Trigger
from collector.policy import Policy
from collector.report import Report, names_of
from collector.throttle import StopError, Throttle
from distribution import deletion
from distribution.models import Blob, Manifest, Repository, Trash
from tests.caller import Caller
from tests.collector.runs import DAY, collect, forecast, pass_time
from tests.collector.undeletable import break_deletion
from tests.images import Image, push_blob

APP = RepositoryName("alice/app")
Push = Callable[..., Image]


def names() -> set[str]:
    return set(Repository.objects.values_list("name", flat=True))


def test_a_repository_goes_with_the_last_that_it_holds(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/{image.digest}")
    assert names() == {APP}
    pass_time()

    report = collect()

    assert names() == set()
    assert list(report.gone.values()) == [APP]


def test_a_repository_leaves_the_catalog_with_a_collected_manifest(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()

    collect()

    assert alice.get("/v2/_catalog").json() == {"repositories": []}


def test_a_repository_stays_while_it_holds_a_blob_within_its_grace_period(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/{image.digest}")

    collect()

    assert names() == {APP}


def test_a_repository_stays_while_an_upload_is_open(alice: Caller) -> None:
    alice.post(f"/v2/{APP}/blobs/uploads/")

    collect()

    assert names() == {APP}


def test_a_repository_of_which_a_person_said_something_stays(alice: Caller) -> None:
    Repository.objects.create(name=APP, keeps_untagged=True)

    collect()

    assert names() == {APP}


def test_a_run_within_a_pattern_leaves_other_repositories(prepared: None) -> None:
    for name in ("alice/a", "alice/b", "bob/a"):
        Repository.objects.create(name=name)

    collect(repository="alice/*")

    assert names() == {"bob/a"}


def test_the_table_of_a_run_names_a_repository_that_is_gone(
    push: Push, alice: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()

    call_command("gc", "--delete-untagged")

    shown = capsys.readouterr().out
    assert [line.split()[:3] for line in shown.splitlines()][1] == [APP, "1", "2"]
    assert "1 repository removed, in which nothing was left" in shown


@pytest.fixture
def interrupted(push: Push) -> Image:
    """Have a deletion that has removed the tag of an image and no more."""
    image = push(APP, "v1")
    steps = deletion.steps(deletion.begin(APP))
    assert next(steps).tags == 1
    return image


def test_the_next_job_finishes_a_deletion(interrupted: Image) -> None:
    assert due.is_anything_due()

    assert due.run_due()

    assert names() == set()
    assert not Blob.objects.exists()


def test_the_next_run_finishes_a_deletion_and_counts_it_under_its_name(interrupted: Image) -> None:
    report = collect(repository="bob/*")

    assert names() == set()
    assert (report.total.manifests, report.total.blobs) == (1, 2)
    assert list(report.gone.values()) == [APP]


def test_a_run_that_is_stopped_leaves_the_rest_of_a_deletion(interrupted: Image) -> None:
    def stop() -> None:
        raise StopError("told to stop")

    report = Report()
    run = runs.collect(Policy(DAY, remove_untagged=False), report, Trigger.COMMAND, watch=stop)

    assert run.state == "stopped"
    assert (report.gone, names_of(report)) == ({}, {deletion.unfinished().get().pk: APP})


def test_a_dry_run_says_nothing_of_what_is_deleted_already(interrupted: Image, alice: Caller) -> None:
    pass_time()

    assert forecast() == []


def test_fsck_finds_no_fault_in_a_deletion_under_way(interrupted: Image, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("fsck")

    assert capsys.readouterr().out == "no problems\n"


def test_a_deletion_that_fails_keeps_no_other_from_its_turn(push: Push) -> None:
    push(APP, "v1")
    push("alice/other", "v1", b"another layer")
    break_deletion("distribution_manifest", Manifest.objects.get(repository__name=APP).pk)
    for name in (APP, RepositoryName("alice/other")):
        deletion.begin(name)
    report = Report()

    repositories.finish_deletions(report, Throttle())

    assert report.failures == 1
    assert [deletion.original_name(row) for row in deletion.unfinished()] == [APP]


def test_a_deletion_frees_the_objects_of_what_nobody_shares(push: Push, alice: Caller) -> None:
    push_blob(alice, "alice/other", b"shared")
    push_blob(alice, APP, b"shared")
    push(APP, "v1")
    before = Blob.objects.count()

    list(deletion.steps(deletion.begin(APP)))

    assert Blob.objects.get().size == len(b"shared")
    assert Trash.objects.filter(key__startswith="objects/").count() >= before - 1
