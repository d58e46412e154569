"""The findings of a dry run: a plan to read, from which rows are excluded."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from collector import plan
from collector.admin.read_only import ReadOnlyAdmin
from collector.dry_run.results import Kind, Reason
from collector.models import Run, RunFinding
from core.api.row_key import row_key
from core.sizes import counted, size_text

_DIGEST = re.compile(r"(\b[a-z0-9+._-]+:[0-9a-f]{12})[0-9a-f]{20,}")


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in Kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RunFinding]) -> QuerySet[RunFinding]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class ReasonFilter(admin.SimpleListFilter):
    """Findings whose sentence begins alike."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(reason.name.lower(), str(reason)) for reason in Reason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RunFinding]) -> QuerySet[RunFinding]:
        reason = Reason.__members__.get((self.value() or "").upper())
        return queryset if reason is None else queryset.filter(reason__startswith=reason)


class FateFilter(admin.SimpleListFilter):
    title = "what the plan does"
    parameter_name = "fate"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("remove", "remove"), ("keep", "keep: excluded")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RunFinding]) -> QuerySet[RunFinding]:
        is_excluded = {"remove": False, "keep": True}.get(self.value() or "")
        return queryset if is_excluded is None else queryset.filter(is_excluded=is_excluded)


@admin.register(RunFinding)
class RunFindingAdmin(ReadOnlyAdmin):
    """Findings of a dry run, reached from the page of the run."""

    list_display = ("kind", "repository", "short_name", "human_size", "sentence", "fate")
    list_display_links = None
    list_filter = (FateFilter, KindFilter, ReasonFilter)
    linked_filters = ("run__id__exact",)
    search_fields = ("name__contains", "repository__contains")
    search_help_text = "part of a digest or repository"
    heading = "Plans of dry runs"
    ordering = ("pk",)
    actions = ("exclude_rows", "include_rows")
    list_before_template: Any = "admin/gc/runfinding/plan.html"

    @admin.display(description="name")
    def short_name(self, finding: RunFinding) -> SafeString:
        """Shorten a digest; the whole is its title."""
        return format_html('<span title="{}">{}</span>', finding.name, _short(finding.name))

    @admin.display(description="reason")
    def sentence(self, finding: RunFinding) -> SafeString:
        """Shorten the digests of a reason; the whole is its title."""
        return format_html('<span title="{}">{}</span>', finding.reason, _short(finding.reason))

    @admin.display(description="size")
    def human_size(self, finding: RunFinding) -> str | None:
        """Format the size of a blob; other findings have none."""
        return size_text(finding.size) if finding.kind == Kind.BLOB else None

    @admin.display(description="what the plan does")
    def fate(self, finding: RunFinding) -> str:
        """Say what becomes of the row when the plan is applied."""
        if finding.kind not in plan.EXCLUDABLE:
            return "nothing: a job removes it within minutes"
        return "keep: excluded" if finding.is_excluded else "remove"

    @admin.action(description="Exclude selected rows from the plan", permissions=["plan"])
    def exclude_rows(self, request: HttpRequest, findings: QuerySet[RunFinding]) -> None:
        """Exclude rows, and those that then stay referenced."""
        count = self._of_each_run(request, findings, plan.exclude, "excluded")
        kept = (
            f"{counted(count, 'row')} excluded, with what they need: manifests keep their images, referrers and blobs."
        )
        self.message_user(request, kept if count else "None of these rows can be excluded.", _level(count))

    @admin.action(description="Include selected rows again", permissions=["plan"])
    def include_rows(self, request: HttpRequest, findings: QuerySet[RunFinding]) -> None:
        """Include rows again that no excluded one needs."""
        count = self._of_each_run(request, findings, plan.include, "included again")
        none = "None of these rows is included again: an excluded row needs them, or they were not excluded."
        self.message_user(request, f"{counted(count, 'row')} included again." if count else none, _level(count))

    def _of_each_run(
        self,
        request: HttpRequest,
        findings: QuerySet[RunFinding],
        change: Callable[[Run, QuerySet[RunFinding]], int],
        done: str,
    ) -> int:
        total = 0
        for run in Run.objects.filter(pk__in=findings.order_by().values("run").distinct()):
            count = change(run, findings)
            if count:
                self.log_change(request, run, f"{counted(count, 'row')} of its plan {done}")
            total += count
        return total

    def has_plan_permission(self, request: HttpRequest) -> bool:
        """Require the permission to request runs."""
        return request.user.has_perm("gc.add_run")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Add what the plan does in all."""
        run = Run.objects.filter(pk=row_key(request.GET.get("run__id__exact", ""))).first()
        context: dict[str, Any] = {}
        if run is not None:
            heading = f"Plan of {run}"
            applications = list(run.applications.all()[:3])
            context = {"run": run, "plan": plan.Summary.of(run), "applications": applications}
            context |= {"title": heading, "heading": heading}
            context["may_apply"] = self.has_plan_permission(request) and not plan.why_not_applicable(run)
        return super().changelist_view(request, context | (extra_context or {}))

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Hide the table from the menu."""
        return {}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Require the permission to view runs."""
        return request.user.has_perm("gc.view_run")


def _short(text: str) -> str:
    return _DIGEST.sub(r"\1…", text)


def _level(count: int) -> int:
    return messages.SUCCESS if count else messages.WARNING
