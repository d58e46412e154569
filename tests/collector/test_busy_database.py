"""A run beside a process that keeps SQLite to itself: what it can't remove is left for later, and is no failure."""

import pytest
from django.db import connection

from distribution import transactions
from distribution.turn import Turn
from tests.caller import Caller
from tests.collector.props import collect, pass_time
from tests.images import push_blob


@pytest.mark.django_db(transaction=True)
def test_rows_are_left_while_another_process_writes(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has many writers")
    push_blob(alice, "alice/app", b"alone")
    pass_time()
    monkeypatch.setattr(transactions, "PATIENCE_SECONDS", 0.0)

    with Turn(f"{connection.settings_dict['NAME']}.turn").taken(10):
        report = collect()

    assert (report.total.links, report.failures) == (0, 0)
    assert report.busy > 0
    assert collect().total.links == 1
