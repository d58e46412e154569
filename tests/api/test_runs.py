"""Runs of the collector: requested, watched, withdrawn; what a dry run found."""

from datetime import timedelta

import pytest

from collector.jobs import queue
from collector.models import Run, State
from tests.api.asking import answered, ask, items
from tests.caller import Caller
from tests.collector.runs import pass_time
from tests.images import push_blob

RUNS = "collection/runs"


def test_a_dry_run_is_requested_performed_and_read(root: Caller, alice: Caller) -> None:
    digest = push_blob(alice, "alice/app", b"nothing refers to it")
    pass_time(timedelta(days=2))

    made = ask(root, "POST", RUNS, {"is_dry_run": True, "grace_period": "24h"})
    path = f"{RUNS}/{made.json()['id']}"
    assert (made.status_code, made["Location"]) == (201, f"/api/v1/{path}")
    assert (made.json()["state"], made.json()["started_by"]) == ("requested", root.name)
    queue.perform_next()

    done = answered(root, path)
    assert (done["state"], done["is_dry_run"], done["grace_period"], done["blobs"]) == ("done", True, "24h", 1)
    assert done["freed_bytes"] == len(b"nothing refers to it")
    found = items(root, f"{path}/findings?limit=1")
    assert digest in [each["name"] for each in found]
    assert {each["kind"] for each in items(root, f"{path}/findings?kind=blob")} == {"blob"}
    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 200


def test_what_is_left_out_is_as_configured(root: Caller) -> None:
    made = ask(root, "POST", RUNS, {}).json()

    assert (made["is_dry_run"], made["remove_untagged"], made["grace_period"]) == (False, False, "24h")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"grace_period": "a day"}, "grace_period"),
        ({"repository": "["}, "repository"),
        ({"is_dry_run": 7}, "is_dry_run"),
    ],
)
def test_what_is_wrong_is_told_by_field(root: Caller, body: object, field: str) -> None:
    response = ask(root, "POST", RUNS, body)

    assert (response.status_code, list(response.json()["errors"])) == (400, [field])


def test_a_second_request_is_409_until_the_first_is_withdrawn(root: Caller) -> None:
    first = ask(root, "POST", RUNS, {}).json()
    assert ask(root, "POST", RUNS, {}).status_code == 409

    withdrawn = ask(root, "POST", f"{RUNS}/{first['id']}/withdrawal")

    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "withdrawn")
    assert ask(root, "POST", f"{RUNS}/{first['id']}/withdrawal").status_code == 409
    assert ask(root, "POST", RUNS, {}).status_code == 201


def test_a_withdrawal_of_another_state_than_seen_is_412(root: Caller) -> None:
    made = ask(root, "POST", RUNS, {})
    path = f"{RUNS}/{made.json()['id']}/withdrawal"

    assert ask(root, "POST", path, headers={"If-Match": '"x"'}).status_code == 412
    assert ask(root, "POST", path, headers={"If-Match": made["ETag"]}).status_code == 200


def test_runs_are_listed_newest_first_and_filtered(root: Caller) -> None:
    first = ask(root, "POST", RUNS, {}).json()["id"]
    Run.objects.update(state=State.DONE)
    second = ask(root, "POST", RUNS, {"is_dry_run": True}).json()["id"]

    assert [run["id"] for run in items(root, f"{RUNS}?limit=1")] == [second, first]
    assert [run["id"] for run in items(root, f"{RUNS}?state=done")] == [first]
    assert [run["id"] for run in items(root, f"{RUNS}?is_dry_run=true")] == [second]


@pytest.mark.parametrize("path", ["99", "99/findings", "99999999999999999999"])
def test_a_run_that_is_none_is_404(root: Caller, path: str) -> None:
    assert ask(root, "GET", f"{RUNS}/{path}").status_code == 404
