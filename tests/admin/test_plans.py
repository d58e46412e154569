"""A dry run as a plan: read by reason, rows excluded, then applied."""

from collections.abc import Callable
from typing import Any

import pytest

from collector.dry_run import results
from collector.jobs import due
from collector.models import Run, RunFinding
from distribution.models import Manifest
from tests.admin.browser import Browser, Response, messages_of, staff
from tests.admin.form import form_of
from tests.admin.test_runs import ADD, FINDINGS, RUNS, done, page_of
from tests.audit.conftest import Written
from tests.caller import Caller
from tests.collector.runs import pass_time
from tests.images import Image


@pytest.fixture
def untagged(push: Callable[..., Image], alice: Caller) -> Image:
    """Have an image without a tag, unused for two days."""
    image = push("alice/app", "v1", b"x" * 2048)
    alice.delete("/v2/alice/app/manifests/v1")
    pass_time()
    return image


def plan_of(admin: Browser) -> Run:
    """Ask for a dry run and let the jobs do it."""
    admin.submit(ADD, is_dry_run="on", remove_untagged="on")
    return done()


def tick(browser: Browser, action: str, *findings: RunFinding) -> Response:
    """Choose an action for rows of a plan."""
    chosen = {"action": action, "_selected_action": [str(finding.pk) for finding in findings]}
    return browser.client.post(
        f"{FINDINGS}?run__id__exact={findings[0].run_id}",
        chosen | {"csrfmiddlewaretoken": form_of(browser.text(FINDINGS))["csrfmiddlewaretoken"]},
        follow=True,
    )


def test_a_plan_is_read_then_excluded_from_then_applied(
    admin: Browser, untagged: Image, push: Callable[..., Image], alice: Caller
) -> None:
    kept = push("alice/kept", "v1", b"kept")
    alice.delete("/v2/alice/kept/manifests/v1")
    pass_time()
    run = plan_of(admin)

    answer = tick(admin, "exclude_rows", RunFinding.objects.get(name=kept.digest))
    page = admin.text(FINDINGS, run__id__exact=str(run.pk))
    applied = admin.submit(f"{RUNS}{run.pk}/apply/")
    due.run_due()

    assert "excluded, with what they need" in messages_of(answer)[0]
    assert "keep: excluded" in page
    assert f"{RUNS}{run.pk}/apply/" in page
    application = Run.objects.get(plan=run)
    assert applied["Location"] == page_of(application)
    assert (application.state, application.started_by) == ("done", "root")
    assert list(Manifest.objects.values_list("digest", flat=True)) == [kept.digest]
    assert "applies the plan of" in admin.text(page_of(application))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"kind": "manifest"}, 1),
        ({"reason": "released"}, 2),
        ({"reason": "nonsense"}, 5),
        ({"fate": "keep"}, 0),
        ({"fate": "remove"}, 5),
    ],
)
def test_a_plan_is_filtered_by_kind_and_reason(
    admin: Browser, untagged: Image, query: dict[str, str], count: int
) -> None:
    run = plan_of(admin)

    found = admin.get(FINDINGS, run__id__exact=str(run.pk), **query)

    assert found.context["cl"].result_count == count


def test_excluded_rows_are_included_again(admin: Browser, untagged: Image) -> None:
    run = plan_of(admin)
    tick(admin, "exclude_rows", *run.findings.all())

    answer = tick(admin, "include_rows", *run.findings.all())

    assert messages_of(answer) == ["5 rows included again."]
    assert not run.findings.filter(is_excluded=True).exists()


def test_who_may_only_look_neither_excludes_nor_applies(admin: Browser, untagged: Image) -> None:
    run = plan_of(admin)
    onlooker = staff("onlooker", "view_run")

    tick(onlooker, "exclude_rows", *run.findings.all())
    applied = onlooker.post(f"{RUNS}{run.pk}/apply/", {})

    assert applied.status_code == 403
    assert "/apply/" not in onlooker.text(page_of(run))
    assert "/apply/" not in onlooker.text(FINDINGS, run__id__exact=str(run.pk))
    assert not run.findings.filter(is_excluded=True).exists()
    assert not Run.objects.filter(plan=run).exists()


def test_only_a_complete_dry_run_is_applied(admin: Browser, untagged: Image) -> None:
    admin.submit(ADD)
    run = done()

    response = admin.client.get(f"{RUNS}{run.pk}/apply/", follow=True)

    assert messages_of(response)[-1] == "Only a dry run is a plan."


def test_a_plan_is_not_applied_while_another_run_waits(admin: Browser, untagged: Image) -> None:
    run = plan_of(admin)
    admin.submit(ADD)

    response = admin.post(f"{RUNS}{run.pk}/apply/", {})

    assert response["Location"] == page_of(run)
    assert not Run.objects.filter(plan=run).exists()


def test_the_page_of_the_scrub_says_what_it_is(admin: Browser, untagged: Image) -> None:
    page = admin.text("/admin/gc/scrub/")

    assert "compares its bytes with its digest" in page
    assert "No blob is corrupt now." in page


def test_runs_are_filtered_by_what_they_do(admin: Browser, untagged: Image) -> None:
    run = plan_of(admin)
    admin.submit(f"{RUNS}{run.pk}/apply/")
    due.run_due()

    found = {does: admin.get(RUNS, does=does).context["cl"].result_list for does in ("nothing", "applies", "removes")}

    assert list(found["nothing"]) == [run]
    assert [row.plan_id for row in found["applies"]] == [run.pk]
    assert all(not row.is_dry_run and row.plan_id is None for row in found["removes"])


def test_a_plan_that_has_changed_since_its_page_was_shown_is_shown_again(
    admin: Browser, untagged: Image, push: Callable[..., Image], alice: Caller
) -> None:
    kept = push("alice/kept", "v1", b"kept")
    alice.delete("/v2/alice/kept/manifests/v1")
    pass_time()
    run = plan_of(admin)
    path = f"{RUNS}{run.pk}/apply/"
    fields = form_of(admin.text(path))

    tick(admin, "exclude_rows", RunFinding.objects.get(name=kept.digest))
    again = admin.client.post(path, fields)
    without = admin.post(path, {})

    assert not Run.objects.filter(plan=run).exists()
    for answer in (again, without):
        assert "The plan has changed meanwhile" in answer.content.decode()
    assert admin.client.post(path, form_of(again.content.decode())).status_code == 302
    assert Run.objects.filter(plan=run).exists()


def test_a_plan_that_was_cut_before_its_first_blob_frees_nothing_yet(
    admin: Browser, untagged: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plan_of(admin)
    assert "It frees nothing yet" not in admin.text(f"{RUNS}{whole.pk}/apply/")
    Run.objects.all().delete()
    monkeypatch.setattr(results, "LISTED", 2)

    cut = plan_of(admin)

    assert "It frees nothing yet" in admin.text(f"{RUNS}{cut.pk}/apply/")


def test_what_is_done_with_a_plan_is_recorded(
    admin: Browser,
    untagged: Image,
    written: Written,
    django_capture_on_commit_callbacks: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("collector.jobs.scheduler.wake", lambda: None)
    run = plan_of(admin)
    written()
    row = RunFinding.objects.get(name=untagged.digest)

    with django_capture_on_commit_callbacks(execute=True):
        tick(admin, "exclude_rows", row)
        tick(admin, "include_rows", row)
        admin.submit(f"{RUNS}{run.pk}/apply/")
        admin.post(f"{RUNS}{Run.objects.get(plan=run).pk}/withdraw/", {})

    events = [event for event in written() if event.kind == "change"]
    assert {event.account for event in events} == {"root"}
    excluded, included, applied, withdrawn = (event.detail for event in events)
    assert excluded.endswith(" of its plan excluded")
    assert included.endswith(" of its plan included again")
    assert applied == f"added: applies the plan of run {run.pk}"
    assert withdrawn == "changed: withdrawn"


def test_the_run_that_applied_a_plan_says_so(admin: Browser, untagged: Image, written: Written) -> None:
    run = plan_of(admin)
    admin.submit(f"{RUNS}{run.pk}/apply/")
    due.run_due()

    details = [event.detail for event in written() if event.kind == "collection" and event.account == "root"]
    assert [f"applies the plan of run {run.pk}" in detail for detail in details] == [False, True]
