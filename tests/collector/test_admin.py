"""The history of collection in the admin."""

import pytest
from django.test import Client

from accounts.models import Account
from collector import runs
from collector.models import Run, Trigger
from collector.policy import Policy
from collector.report import Report
from tests.collector.runs import DAY


@pytest.fixture
def administrator(prepared: None) -> Client:
    client = Client()
    client.force_login(Account.objects.create_superuser("root", "root's password"))
    runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, started_by="by hand")
    return client


def test_runs_are_listed(administrator: Client) -> None:
    response = administrator.get("/admin/gc/run/")

    assert response.status_code == 200
    assert b"by hand" in response.content


def test_a_run_is_looked_at_and_not_edited(administrator: Client) -> None:
    page = f"/admin/gc/run/{Run.objects.get().pk}/"

    assert administrator.get(f"{page}change/").status_code == 200
    assert administrator.post(f"{page}change/", {"state": "failed"}).status_code == 403
    assert administrator.get(f"{page}delete/").status_code == 403
