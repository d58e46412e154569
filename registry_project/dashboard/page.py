"""The context of the admin's first page: each part for who may view its rows."""

from typing import Any

from django.http import HttpRequest

from audit.queries import latest_denials, latest_refused_logins
from distribution.usage import daily
from registry_project.dashboard import charts, numbers

# Of denials and refused logins.
LATEST = 8


def add_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add numbers and pictures to the context; `UNFOLD["DASHBOARD_CALLBACK"]`."""
    may = request.user.has_perm
    shown: dict[str, Any] = {}
    if may("distribution.view_repository"):
        days = daily.days(numbers.DAYS)
        space = numbers.space_by_day()
        shown |= {
            "cards": numbers.cards(),
            "largest": numbers.largest(),
            "pulls": charts.bars([(day.day, day.pulls) for day in days], "pulls"),
            "pushes": charts.bars([(day.day, day.pushes) for day in days], "pushes"),
            "pulls_in_all": sum(day.pulls for day in days),
            "pushes_in_all": sum(day.pushes for day in days),
            "stored_line": charts.line([row.stored_bytes for row in space]),
            "space": space,
        }
    if may("policies.view_quota"):
        shown |= {"quotas": numbers.fullest_quotas()}
    if may("gc.view_run"):
        last, following = numbers.collections()
        shown |= {"health": numbers.health(), "last_run": last, "next_run": following}
    if may("audit.view_event"):
        shown |= {"denials": latest_denials(LATEST), "refused_logins": latest_refused_logins(LATEST)}
    return context | {"title": "Overview", "dashboard": shown, "chart_size": (charts.WIDTH, charts.HEIGHT)}
