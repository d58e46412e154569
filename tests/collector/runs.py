"""Runs and dry runs of the collector, and a clock that is moved by hand."""

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F

from collector import collection
from collector.policy import Policy
from collector.report import Report
from collector.throttle import Throttle
from distribution.models import Link, Manifest, Trash, Upload

DAY = timedelta(hours=24)


def pass_time(duration: timedelta = 2 * DAY) -> None:
    """Make everything look as if `duration` had passed since."""
    Manifest.objects.update(last_used_at=F("last_used_at") - duration)
    Link.objects.update(last_used_at=F("last_used_at") - duration)
    Upload.objects.update(active_at=F("active_at") - duration, leased_until=F("leased_until") - duration)
    Trash.objects.update(delete_after=F("delete_after") - duration)


def collect(
    *,
    grace: timedelta = DAY,
    remove_untagged: bool = True,
    repository: str = "",
    watch: Callable[[], None] | None = None,
) -> Report:
    """Do one run, with a call of `watch` after each row, and return its report."""
    report = Report()
    collection.collect(Policy(grace, remove_untagged, repository), report, Throttle(watch))
    return report


def forecast(
    *, grace: timedelta = DAY, remove_untagged: bool = True, repository: str = ""
) -> list[tuple[str, str, str]]:
    """Return what a run would remove, as (kind, repository, name); a blob is of no repository."""
    findings = collection.forecast(Policy(grace, remove_untagged, repository), Report())
    return [(str(found.kind), "" if found.kind == "blob" else found.repository, found.name) for found in findings]


def manifests() -> set[str]:
    """Return the digests of all manifests."""
    return set(Manifest.objects.values_list("digest", flat=True))
