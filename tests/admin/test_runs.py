"""Runs of the collector, asked for in the admin."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from collector.dry_run import results
from collector.jobs import due, queue, scheduler
from collector.models import Run, RunFinding
from distribution.models import Link, Manifest
from tests.admin.browser import Browser, errors_of, messages_of, staff
from tests.admin.form import form_of
from tests.caller import Caller
from tests.collector.runs import pass_time
from tests.images import Image, push_blob

RUNS, ADD, FINDINGS = "/admin/gc/run/", "/admin/gc/run/add/", "/admin/gc/runfinding/"


@pytest.fixture
def untagged(push: Callable[..., Image], alice: Caller) -> Image:
    """Have an image without a tag, unused for two days."""
    image = push("alice/app", "v1", b"x" * 2048)
    alice.delete("/v2/alice/app/manifests/v1")
    pass_time()
    return image


def done() -> Run:
    """Let the jobs beside the server do what was asked for, and return that run."""
    due.run_due()
    return Run.objects.get(trigger="admin")


def page_of(run: Run) -> str:
    return f"{RUNS}{run.pk}/change/"


def test_the_list_leads_to_a_run_and_a_dry_run(admin: Browser) -> None:
    page = admin.text(RUNS)

    for path, is_dry_run in ((f"{RUNS}rehearse/", True), (f"{RUNS}start/", False)):
        assert path in page
        form = form_of(admin.client.get(path, follow=True).content.decode())
        assert ("is_dry_run" in form) is is_dry_run


def test_a_run_that_is_asked_for_collects(admin: Browser, untagged: Image) -> None:
    response = admin.submit(ADD, remove_untagged="on")

    assert response["Location"] == page_of(Run.objects.get())
    run = done()
    assert (run.state, run.started_by, run.remove_untagged, run.manifests) == ("done", "root", True, 1)
    assert not Manifest.objects.exists()


def test_until_it_begins_a_run_is_requested_and_nothing_is_removed(admin: Browser, untagged: Image) -> None:
    admin.submit(ADD, remove_untagged="on")

    run = Run.objects.get()
    assert (run.state, run.trigger, run.ended_at) == ("requested", "admin", None)
    assert Manifest.objects.exists()
    assert "requested" in admin.text(RUNS)


def test_a_run_is_as_configured_unless_told_otherwise(admin: Browser, untagged: Image) -> None:
    admin.submit(ADD)

    run = done()
    assert (run.is_dry_run, run.remove_untagged, run.grace_period) == (False, False, timedelta(hours=24))
    assert run.repository == ""
    assert Manifest.objects.exists()


def test_a_run_keeps_to_its_repositories_and_its_grace_period(admin: Browser, alice: Caller) -> None:
    for name in ("alice/app", "alice/other"):
        push_blob(alice, name, name.encode())
    pass_time(timedelta(hours=2))

    admin.submit(ADD, repository="alice/a*", grace_period="1h30m")
    done()

    assert list(Link.objects.values_list("repository__name", flat=True)) == ["alice/other"]


def test_a_dry_run_changes_nothing_and_lists_what_would_go_and_why(admin: Browser, untagged: Image) -> None:
    admin.submit(ADD, is_dry_run="on", remove_untagged="on")

    run = done()

    assert (run.state, run.is_dry_run, run.manifests, run.blobs) == ("done", True, 1, 2)
    assert Manifest.objects.exists()
    page = admin.text(FINDINGS, run__id__exact=str(run.pk))
    for text in (untagged.digest, untagged.layers[0], "no tag, index or subject keeps it", "alice/app", "2.0 KiB"):
        assert text in page
    assert f"{FINDINGS}?run__id__exact={run.pk}" in admin.text(page_of(run))
    assert "5 findings" in admin.text(page_of(run))


def test_what_a_dry_run_finds_beyond_the_bound_is_counted(
    admin: Browser, untagged: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LISTED", 2)
    admin.submit(ADD, is_dry_run="on", remove_untagged="on")

    run = done()

    assert RunFinding.objects.count() == 2
    assert "2 findings, and 3 more that are not listed" in admin.text(page_of(run))


def test_older_dry_runs_lose_their_findings(admin: Browser, untagged: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "KEPT_RUNS", 2)
    for _ in range(3):
        admin.submit(ADD, is_dry_run="on", remove_untagged="on")
        due.run_due()

    runs = list(Run.objects.filter(trigger="admin"))

    assert [run.findings.count() for run in runs] == [5, 5, 0]
    assert "5 findings, which are not kept" in admin.text(page_of(runs[-1]))


def test_a_dry_run_that_was_withdrawn_takes_no_findings_from_others(
    admin: Browser, untagged: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "KEPT_RUNS", 2)
    for is_withdrawn in (False, True, True, False):
        admin.submit(ADD, is_dry_run="on", remove_untagged="on")
        if is_withdrawn:
            assert queue.withdraw(Run.objects.get(state="requested"), "root")
        due.run_due()

    assert [run.findings.count() for run in Run.objects.filter(trigger="admin")] == [5, 0, 0, 5]


def test_a_second_run_is_refused_while_one_waits(admin: Browser) -> None:
    admin.submit(ADD)

    response = admin.submit(ADD)

    assert "requested already" in str(errors_of(response))
    assert Run.objects.count() == 1


def withdrawal_of(run: Run) -> str:
    return f"{RUNS}{run.pk}/withdraw/"


def requested_run(browser: Browser) -> Run:
    """Ask for a run."""
    browser.submit(ADD)
    return Run.objects.get()


def test_a_run_that_waits_is_withdrawn_by_its_page(admin: Browser) -> None:
    run = requested_run(admin)
    page = admin.text(page_of(run))
    assert 'formaction="../withdraw/"' in page

    response = admin.client.post(withdrawal_of(run), dict(form_of(page)), follow=True)

    assert messages_of(response) == ["The run is withdrawn."]
    run.refresh_from_db()
    assert (run.state, run.error) == ("withdrawn", "withdrawn by root")
    assert "withdrawn" in admin.text(RUNS)
    assert admin.submit(ADD)["Location"] == page_of(Run.objects.latest("pk"))


def test_a_run_that_has_begun_is_not_withdrawn(admin: Browser) -> None:
    requested_run(admin)
    run = done()

    response = admin.post(withdrawal_of(run), {})

    assert response["Location"] == RUNS
    assert "has begun, or was withdrawn already" in str(messages_of(admin.client.get(RUNS)))
    run.refresh_from_db()
    assert run.state == "done"
    assert "withdraw/" not in admin.text(page_of(run))


def test_opening_the_page_that_withdraws_does_nothing(admin: Browser) -> None:
    run = requested_run(admin)

    assert admin.get(withdrawal_of(run)).status_code == 405
    assert admin.client.post(withdrawal_of(run), {}).status_code == 403
    assert Run.objects.get().state == "requested"


def test_a_run_that_is_not_there_can_not_be_withdrawn(admin: Browser) -> None:
    assert admin.post(f"{RUNS}7/withdraw/", {}).status_code == 404


def test_who_may_only_look_withdraws_nothing(admin: Browser) -> None:
    run = requested_run(admin)
    onlooker = staff("onlooker", "view_run", "change_run", "delete_run")

    assert "withdraw/" not in onlooker.text(page_of(run))
    assert onlooker.post(withdrawal_of(run), {}).status_code == 403
    assert Run.objects.get().state == "requested"


def test_who_may_add_runs_withdraws_those_of_others(admin: Browser) -> None:
    run = requested_run(admin)
    operator = staff("operator", "view_run", "add_run")

    operator.client.post(withdrawal_of(run), dict(form_of(operator.text(page_of(run)))))

    run.refresh_from_db()
    assert (run.state, run.error) == ("withdrawn", "withdrawn by operator")


@pytest.mark.parametrize(
    ("field", "value"), [("grace_period", "soon"), ("grace_period", ""), ("repository", "["), ("repository", "a" * 256)]
)
def test_what_is_no_duration_or_pattern_is_refused(admin: Browser, field: str, value: str) -> None:
    response = admin.submit(ADD, **{field: value})

    assert list(errors_of(response)) == [field]
    assert not Run.objects.exists()


def test_nothing_begins_by_opening_a_page(admin: Browser) -> None:
    for path in (ADD, f"{RUNS}rehearse/", f"{RUNS}start/"):
        admin.client.get(path, {"remove_untagged": "on", "_save": "Save"}, follow=True)

    assert not Run.objects.exists()


def test_nothing_begins_without_the_token_of_the_page(admin: Browser) -> None:
    response = admin.client.post(ADD, {"grace_period": "24h"})

    assert response.status_code == 403
    assert not Run.objects.exists()


def test_who_may_only_look_starts_nothing(cast: None) -> None:
    onlooker = staff("onlooker", "view_run")
    page = onlooker.text(RUNS)

    assert onlooker.post(ADD, {"grace_period": "24h"}).status_code == 403
    assert onlooker.get(f"{RUNS}start/").status_code == 403
    assert f"{RUNS}start/" not in page
    assert not Run.objects.exists()


def test_who_may_add_runs_needs_to_be_no_superuser(cast: None) -> None:
    operator = staff("operator", "view_run", "add_run")

    response = operator.client.get(RUNS)
    operator.submit(ADD, is_dry_run="on")

    assert f"{RUNS}start/" in response.content.decode()
    assert Run.objects.get().started_by == "operator"


def test_findings_are_seen_by_who_sees_runs_and_no_others(cast: None) -> None:
    onlooker, other = staff("onlooker", "view_run"), staff("other", "view_rule")

    assert onlooker.get(FINDINGS).status_code == 200
    assert other.get(FINDINGS).status_code == 403
    assert onlooker.post(f"{FINDINGS}add/", {}).status_code == 403


def test_the_answer_says_what_happens_now(admin: Browser) -> None:
    fields = {"grace_period": "24h"}

    admin.post(ADD, fields)

    assert "The run is requested." in str(messages_of(admin.client.get(RUNS)))


def test_the_jobs_are_called_once_the_run_is_there(
    admin: Browser, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(scheduler, "wake", lambda: calls.append(Run.objects.count()))

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]
        admin.submit(ADD)

    assert calls == [1]


def test_a_run_shows_how_far_it_is(admin: Browser) -> None:
    run = Run.objects.create(
        started_at=Now(), state="running", trigger="admin", grace_period=timedelta(), remove_untagged=True, manifests=7
    )

    page = admin.text(page_of(run))

    assert "running" in page
    assert ">7<" in "".join(page.split())


def test_the_page_of_a_run_reloads_until_it_has_ended(admin: Browser) -> None:
    run = requested_run(admin)
    waiting = admin.text(page_of(run))
    due.run_due()

    assert '<meta http-equiv="refresh" content="3">' in waiting
    assert 'http-equiv="refresh"' not in admin.text(page_of(run))
