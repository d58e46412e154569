"""The pulls and pushes of the last days, of a repository or of all."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from django.db.models import Sum

from distribution.models import DailyUse


class Day(NamedTuple):
    """The pulls and pushes of a day, in UTC."""

    day: date
    pulls: int
    pushes: int


def days(number: int, repository: str | None = None) -> list[Day]:
    """Return as many days, the oldest first and today last; None: of all repositories together."""
    today = datetime.now(UTC).date()
    wanted = [today - timedelta(days=ago) for ago in reversed(range(number))]
    rows = DailyUse.objects.filter(day__gte=wanted[0])
    if repository is not None:
        rows = rows.filter(repository=repository)
    added = rows.values("day").annotate(all_pulls=Sum("pulls"), all_pushes=Sum("pushes"))
    used = {day: (pulls, pushes) for day, pulls, pushes in added.values_list("day", "all_pulls", "all_pushes")}
    return [Day(day, *used.get(day, (0, 0))) for day in wanted]
