"""`/api/v1/repositories/{name}/-/usage`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from distribution.models import DailyUse, Repository
from policies.models import Quota
from tests.api.asking import answered, ask
from tests.caller import Caller
from tests.images import Image

PATH = "repositories/alice/app/-/usage"


def test_it_has_thirty_days_and_the_last_uses(bob: Caller, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    today, now = datetime.now(UTC).date(), datetime(2026, 1, 2, tzinfo=UTC)
    DailyUse.objects.all().delete()
    for days, pulls, pushes in ((0, 3, 1), (29, 4, 0), (30, 100, 100)):
        day = today - timedelta(days=days)
        DailyUse.objects.create(repository="alice/app", day=day, pulls=pulls, pushes=pushes)
    Repository.objects.filter(name="alice/app").update(pulled_at=now, pushed_at=None, size=42)

    found = answered(bob, PATH)

    days = found.pop("days")
    assert (len(days), days[-1]) == (30, {"day": str(today), "pulls": 3, "pushes": 1})
    assert days[0] == {"day": str(today - timedelta(days=29)), "pulls": 4, "pushes": 0}
    last = {"pulled_at": "2026-01-02T00:00:00Z", "pushed_at": None, "size": 42}
    assert found == {"pulls": 7, "pushes": 1, "quotas": [], **last}
    etag = ask(bob, "GET", PATH)["ETag"]
    assert ask(bob, "GET", PATH, headers={"If-None-Match": etag}).status_code == 304


def test_it_needs_the_right_to_pull(charlie: Caller, anonymous: Caller, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")

    assert ask(charlie, "GET", PATH).status_code == 404
    assert ask(anonymous, "GET", PATH).status_code == 401


def test_it_has_the_quotas_for_those_who_may_push(alice: Caller, bob: Caller, push: Callable[..., Image]) -> None:
    push("alice/app", "v1", b"x" * 1024)
    quota = Quota.objects.create(repositories="alice/*", each="namespace", max_tags=4)

    found = answered(alice, PATH)["quotas"]

    used = found[0].pop("used_bytes")
    limits = {"max_bytes": None, "used_tags": 1, "max_tags": 4}
    assert found == [{"id": quota.pk, "sentence": str(quota), "counted": "alice/", **limits}]
    assert used > 1024
    assert answered(bob, PATH)["quotas"] == []
