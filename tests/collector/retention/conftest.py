"""Repositories whose tags were pushed some days ago, and policies."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from acl.names import RepositoryName
from collector.retention import facts
from distribution import repositories
from distribution.models import Manifest, Repository, Tag
from policies.models import Policy, Retention
from tests.images import digest_of

DAY = timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

MakePolicy = Callable[..., Retention]


@pytest.fixture(autouse=True)
def _pulls_were_always_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "pulls_since", lambda _now: LONG_AGO)


def valid(policy: Policy) -> Any:
    policy.full_clean()
    policy.save()
    return policy


@pytest.fixture
def retention(prepared: None) -> MakePolicy:
    """Make a policy: `retention(keep_last=3)`."""
    return lambda repositories="alice/*", **values: valid(Retention(repositories=repositories, **values))


def image(name: str, content: str, **values: Any) -> Manifest:
    """Return a manifest without blobs, made unless it is there."""
    columns = {"media_type": "application/x", "payload": b"{}", "size": 2, "is_unreferenced": False}
    row, _ = Manifest.objects.get_or_create(
        repository=repositories.ensure(RepositoryName(name)),
        digest=digest_of(content.encode()),
        defaults=columns | {"last_used_at": Now() - 9 * DAY} | values,
    )
    return row


def tagged(name: str = "alice/app", /, **days: float) -> Repository:
    """Make tags that were pushed so many days ago, each of an image of its own: `tagged(v1=3, v2=2)`."""
    for tag, ago in days.items():
        row = image(name, tag)
        Tag.objects.create(repository_id=row.repository_id, name=tag, manifest=row, updated_at=Now() - ago * DAY)
    return Repository.objects.get(name=name)


def tags(name: str = "alice/app") -> set[str]:
    return set(Tag.objects.filter(repository__name=name).values_list("name", flat=True))
