"""What is used of quotas, for people: the pages, the admin and the management API."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from distribution.models import QuotaUse
from distribution.usage.quota_sets import QuotaSet, Use
from distribution.usage.quotas import Room, used_bytes, used_tags
from policies.models import Quota
from policies.models.quota import Each


@dataclass(frozen=True, slots=True)
class Figure:
    """What the repositories have that a quota counts together."""

    quota: Quota
    counted: str
    use: Use

    @property
    def where(self) -> str:
        """A name, a prefix with /, or the repositories of the quota in words."""
        return self.counted or self.quota.scope

    @property
    def texts(self) -> list[str]:
        """What is used of each limit, as `9.1 GiB of 10.0 GiB`."""
        quota, use = self.quota, self.use
        texts = [used_bytes(quota, use)] if quota.max_size is not None else []
        return [*texts, used_tags(quota, use)] if quota.max_tags is not None else texts

    @property
    def share(self) -> float:
        """The share of the limit that is nearest."""
        return max(
            self.use.bytes / (self.quota.max_size or math.inf), self.use.tags / (self.quota.max_tags or math.inf)
        )

    @property
    def permille(self) -> int:
        return min(1000, round(1000 * self.share))

    @property
    def percent(self) -> str:
        return f"{100 * self.share:.0f} %"


def of_repository(name: str, version: str) -> list[Figure]:
    """Return the figures of the quotas that hold for a repository, the fullest first."""
    found = [Figure(one.quota, one.counted, one.shown()) for one in Room.of(name, version).sets]
    return sorted(found, key=attrgetter("share"), reverse=True)


def of_namespace(name: str, version: str) -> list[Figure]:
    """Return the figures of the quotas that count the repositories below `name` together."""
    sets = Room.of(f"{name}/app", version).sets
    return [Figure(one.quota, one.counted, one.shown()) for one in sets if one.quota.each == Each.NAMESPACE]


def of_quota(quota: Quota) -> Figure | None:
    """Return the figure of a quota; of several the fullest, None as long as nobody has pushed."""
    if quota.each == Each.WHOLE:
        return Figure(quota, "", QuotaSet(quota, "").shown())
    limits = (("bytes", quota.max_size), ("tags", quota.max_tags))
    rows = QuotaUse.objects.filter(policy=quota.pk)
    # The most bytes and the most tags: one of these is the fullest.
    found = [row for column, most in limits if most is not None and (row := rows.order_by(f"-{column}").first())]
    figures = [Figure(quota, row.counted, Use(row.bytes, row.tags)) for row in found]
    return max(figures, key=attrgetter("share"), default=None)


def all_of_quota(quota: Quota, after: str, limit: int) -> list[Figure]:
    """Return the figures of what the quota counts together, by name; those after `after` that are known."""
    if quota.each == Each.WHOLE:
        return [Figure(quota, "", QuotaSet(quota, "").shown())]
    rows = QuotaUse.objects.filter(policy=quota.pk, counted__gt=after).order_by("counted")
    return [Figure(quota, row.counted, Use(row.bytes, row.tags)) for row in rows[:limit]]


def fullest(quotas: Iterable[Quota], limit: int) -> list[Figure]:
    """Return the figures of the quotas that are nearest to their limit, one for each quota."""
    found = [figure for quota in quotas if (figure := of_quota(quota)) is not None]
    return sorted(found, key=attrgetter("share"), reverse=True)[:limit]
