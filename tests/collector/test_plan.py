"""A dry run as a plan: a later run removes what it lists, except what is excluded, and nothing else."""

import random
from collections.abc import Callable

import pytest
from django.db.models.functions import Now

from collector import plan
from collector.jobs import queue
from collector.models import Run, RunFinding
from distribution.models import Blob, Link, Manifest, Upload
from tests.caller import Caller
from tests.collector.graph import Graph
from tests.collector.runs import DAY, pass_time
from tests.images import Image, digest_of, index, manifest, push_blob, put_manifest

APP = "alice/app"
Push = Callable[..., Image]


def untag(alice: Caller, *tags: str, repository: str = APP) -> None:
    for tag in tags:
        alice.delete(f"/v2/{repository}/manifests/{tag}")


def planned(**policy: object) -> Run:
    """Do a dry run of the admin."""
    queue.add(Run(is_dry_run=True, **{"remove_untagged": True, "grace_period": DAY, **policy}), "root")
    run = queue.perform_next()
    assert run is not None
    assert run.state == "done"
    return run


def applied(run: Run) -> Run:
    queue.add(plan.application_of(run), "root")
    application = queue.perform_next()
    assert application is not None
    assert (application.state, application.plan_id) == ("done", run.pk)
    return application


def listed(run: Run, kind: str, *, is_excluded: bool = False) -> set[str]:
    return set(run.findings.filter(kind=kind, is_excluded=is_excluded).values_list("name", flat=True))


def test_a_plan_is_applied(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    untag(alice, "v1")
    pass_time()

    run = applied(planned())

    assert (run.manifests, run.links, run.blobs) == (1, 2, 2)
    assert not Manifest.objects.exists()


def test_what_became_due_after_the_plan_stays(push: Push, alice: Caller) -> None:
    push(APP, "v1", b"first")
    later = push(APP, "v2", b"second")
    untag(alice, "v1")
    pass_time()
    run = planned()
    untag(alice, "v2")
    push_blob(alice, APP, b"alone")
    alice.post(f"/v2/{APP}/blobs/uploads/")
    pass_time()

    applied(run)

    assert list(Manifest.objects.values_list("digest", flat=True)) == [later.digest]
    assert Blob.objects.filter(digest=digest_of(b"alone")).exists()
    assert Upload.objects.exists()


def test_what_was_used_after_the_plan_stays(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    untag(alice, "v1")
    pass_time()
    run = planned()
    Manifest.objects.update(last_used_at=Now())

    applied(run)

    assert Manifest.objects.filter(digest=image.digest).exists()


def test_what_was_tagged_after_the_plan_stays(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    untag(alice, "v1")
    pass_time()
    run = planned()
    put_manifest(alice, APP, "v2", image.payload)
    pass_time()

    applied(run)

    assert Manifest.objects.filter(digest=image.digest).exists()
    assert Link.objects.count() == 2


def test_an_excluded_manifest_stays_with_its_blobs(push: Push, alice: Caller) -> None:
    kept, gone = push(APP, "v1", b"first"), push(APP, "v2", b"second")
    untag(alice, "v1", "v2")
    pass_time()
    run = planned()

    plan.exclude(run, run.findings.filter(name=kept.digest))
    applied(run)

    assert list(Manifest.objects.values_list("digest", flat=True)) == [kept.digest]
    assert set(Blob.objects.values_list("digest", flat=True)) == {kept.config, *kept.layers}
    assert listed(run, "manifest") == {gone.digest}
    assert listed(run, "blob") == {gone.config, *gone.layers}


def test_an_excluded_index_keeps_its_images(alice: Caller) -> None:
    config = push_blob(alice, APP, b"{}")
    child = manifest(b"{}")
    put_manifest(alice, APP, digest_of(child), child)
    parent = index(child)
    put_manifest(alice, APP, "multi", parent)
    untag(alice, "multi")
    pass_time()
    run = planned()

    count = plan.exclude(run, run.findings.filter(name=digest_of(parent)))

    assert count == run.findings.count() == 4
    assert listed(run, "blob", is_excluded=True) == {config}


def test_an_excluded_blob_keeps_its_last_link_only(alice: Caller) -> None:
    for name in (APP, "alice/other"):
        push_blob(alice, name, b"shared")
    pass_time()
    run = planned()

    plan.exclude(run, run.findings.filter(kind="blob"))
    applied(run)

    assert Link.objects.count() == 1
    assert Blob.objects.filter(digest=digest_of(b"shared")).exists()


def test_what_is_included_again_is_removed(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    untag(alice, "v1")
    pass_time()
    run = planned()
    plan.exclude(run, run.findings.all())

    count = plan.include(run, run.findings.all())
    applied(run)

    assert count == 5
    assert not Link.objects.exists()


def test_what_an_excluded_row_needs_stays_excluded(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    untag(alice, "v1")
    pass_time()
    run = planned()
    plan.exclude(run, run.findings.filter(name=image.digest))

    assert plan.include(run, run.findings.filter(kind="blob")) == 0


def test_expired_uploads_are_not_excluded(alice: Caller) -> None:
    alice.post(f"/v2/{APP}/blobs/uploads/")
    pass_time()
    run = planned()

    assert plan.exclude(run, run.findings.all()) == 0
    assert plan.why_not_applicable(run)


def test_a_plan_without_its_findings_removes_nothing(push: Push, alice: Caller) -> None:
    push(APP, "v1")
    untag(alice, "v1")
    pass_time()
    run = planned()
    queue.add(plan.application_of(run), "root")
    RunFinding.objects.all().delete()
    Run.objects.filter(pk=run.pk)._raw_delete("default")

    application = queue.perform_next()

    assert application is not None
    assert (application.state, application.manifests, application.links) == ("done", 0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_exactly_the_rest_of_a_random_plan_is_removed(prepared: None, seed: int) -> None:
    chance = random.Random(seed)
    Graph(chance).grow()
    run = planned()
    excluded = chance.sample(list(run.findings.values_list("pk", flat=True)), run.findings.count() // 8)
    plan.exclude(run, run.findings.filter(pk__in=excluded))
    before = {
        "manifest": set(Manifest.objects.values_list("pk", flat=True)),
        "link": set(Link.objects.values_list("pk", flat=True)),
    }
    blobs = set(Blob.objects.values_list("digest", flat=True))

    application = applied(run)

    assert application.failures == 0
    for kind, model in (("manifest", Manifest), ("link", Link)):
        gone = before[kind] - set(model._default_manager.values_list("pk", flat=True))
        assert gone == set(run.findings.filter(kind=kind, is_excluded=False).values_list("row_id", flat=True))
    assert blobs - set(Blob.objects.values_list("digest", flat=True)) == listed(run, "blob")
