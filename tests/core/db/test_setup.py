"""The schema at a start: what `migrate` of Django checks is checked too when no migration is missing."""

from collections.abc import Iterator
from threading import Thread
from time import sleep

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext

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


@pytest.fixture
def without_index(transactional_db: None) -> Iterator[None]:
    """Have the schema of before the index of incomplete manifests."""
    MigrationExecutor(connection).migrate([("distribution", "0012_quota_use")])
    yield
    setup.migrate()


INDEX = "distribution.0013_missing_content_index"


def test_an_index_is_made_beside_the_start_of_another(without_index: None) -> None:
    ended: list[list[str]] = []

    def start() -> None:
        with setup.prepared():
            ended.append(setup.migrate())

    with setup.prepared(), CaptureQueriesContext(connection) as asked:
        other = Thread(target=start)
        other.start()
        sleep(0.3)
        assert setup.migrate() == [INDEX]
    other.join(30)

    assert ended == [[]]
    made = [one["sql"] for one in asked if "CREATE INDEX" in one["sql"]]
    assert len(made) == 1
    assert connection.vendor == "sqlite" or made[0].startswith("CREATE INDEX CONCURRENTLY")


def test_an_index_that_was_interrupted_is_made_again(without_index: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX distribution_incomplete ON distribution_manifest (repository_id)")

    assert setup.migrate() == [INDEX]
