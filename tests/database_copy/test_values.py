"""Every value is the same to the ORM before and after, however odd it is."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.db import connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Account
from collector.models import Run
from database_copy import target as targets
from database_copy.run import Progress, copy
from distribution.models import Manifest, Repository, Upload
from tests.databases import FILE, migrated_database

BEFORE, AFTER = "before", "after"
MODELS = (Account, Manifest, Repository, Run, Upload)

# PostgreSQL stores no NUL, and neither database a lone surrogate: the registry accepts neither.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
MOMENT = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)]
)
NUMBER = st.integers(-(2**63), 2**63 - 1)
# No floats, which the registry stores nowhere: jsonb has decimal numbers.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
ROWS = st.fixed_dictionaries(
    {
        "account": st.fixed_dictionaries(
            {
                "name": TEXT,
                "password": TEXT,
                "is_active": st.booleans(),
                "last_login": st.none() | MOMENT,
                "second_factor_changed_at": st.none() | MOMENT,
            }
        ),
        "manifest": st.fixed_dictionaries(
            {
                "digest": TEXT,
                "payload": st.binary(max_size=2000),
                "size": NUMBER,
                "subject": st.none() | TEXT,
                "annotations": st.dictionaries(TEXT, JSON, max_size=3),
                "last_used_at": MOMENT,
                "is_unreferenced": st.booleans(),
            }
        ),
        "upload": st.fixed_dictionaries(
            {
                "id": st.uuids(),
                "hash_state": st.none() | st.binary(max_size=200),
                "lease": st.none() | st.uuids(),
                "leased_until": st.none() | MOMENT,
                "active_at": MOMENT,
                "offset": NUMBER,
            }
        ),
        "run": st.fixed_dictionaries(
            {
                "started_at": MOMENT,
                "grace_period": st.timedeltas(timedelta(days=-1_000_000), timedelta(days=1_000_000)),
                "remove_untagged": st.booleans(),
                "error": TEXT,
            }
        ),
    }
)


@pytest.fixture
def template(target: str, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """Name both databases to Django; return a SQLite file with all tables."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("REGISTRY_DATABASE_URL")
        migrated_database(tmp_path)
    urls = {BEFORE: f"sqlite:///{tmp_path / 'copy.sqlite3'}", AFTER: target}
    known = connections.settings
    named: dict[str, Any] = {alias: dict(dj_database_url.parse(url)) for alias, url in urls.items()}
    known.update(connections.configure_settings({"default": known["default"], **named}))
    with django_db_blocker.unblock():
        yield tmp_path / FILE
        for alias in urls:
            connections[alias].close()
            del connections[alias]
            del known[alias]


def rows_in(alias: str) -> list[list[dict[str, object]]]:
    """Return all rows as the ORM reads them."""
    found = [list(model.objects.using(alias).order_by("pk").values()) for model in MODELS]
    return [[{name: plain(value) for name, value in row.items()} for row in rows] for rows in found]


def plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


def write(rows: dict[str, Any]) -> None:
    repository = Repository.objects.using(BEFORE).create(name="a/b")
    Account.objects.using(BEFORE).create(**rows["account"])
    Manifest.objects.using(BEFORE).create(repository=repository, media_type="a/b", **rows["manifest"])
    Upload.objects.using(BEFORE).create(repository=repository, **rows["upload"])
    Run.objects.using(BEFORE).create(**rows["run"])


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(rows=ROWS)
def test_every_value_is_the_same_to_the_orm(template: Path, target: str, rows: dict[str, Any]) -> None:
    path = template.with_name("copy.sqlite3")
    shutil.copy(template, path)
    try:
        write(rows)
        before = rows_in(BEFORE)
    finally:
        connections[BEFORE].close()
    with targets.connected(target) as database:
        # As if the copy of the example before had not been finished.
        database.mark("an example")

    copy(path, target, Progress(), lambda: None)

    assert rows_in(AFTER) == before
