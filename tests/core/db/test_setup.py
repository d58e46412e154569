"""The schema at a start: what `migrate` of Django checks is checked too when no migration is missing."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from core.db import setup
from core.start_error import StartError


def test_a_history_with_a_gap_is_refused(db: None) -> None:
    MigrationRecorder(connection).record_unapplied("contenttypes", "0001_initial")

    with pytest.raises(StartError, match="applied before its dependency"):
        setup.migrate()


def test_a_history_is_checked_when_nothing_is_missing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    monkeypatch.setattr(MigrationExecutor, "check_replacements", lambda _self: checked.append("replacements"))
    monkeypatch.setattr(
        "django.db.migrations.loader.MigrationLoader.check_consistent_history",
        lambda _self, _connection: checked.append("history"),
    )

    assert setup.migrate() == []

    assert checked == ["history", "replacements"]
