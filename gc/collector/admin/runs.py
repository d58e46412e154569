"""Runs of the collector, their findings and the scrub; new runs are requested here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action

from collector.admin.forms import RunForm
from collector.dry_run.results import Kind
from collector.jobs import queue, scheduler
from collector.models import Run, RunFinding, Scrub
from core.admin.declared_filters import DeclaredFiltersAdmin
from core.sizes import size_text


class _ReadOnlyAdmin(DeclaredFiltersAdmin):
    """Rows that the admin shows and never changes."""

    list_per_page = 50
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Run)
class RunAdmin(_ReadOnlyAdmin):
    """Runs, newest first. The permission to add runs covers requesting and withdrawing one.

    A process beside the server performs them.
    """

    form = RunForm
    has_add_permission = DeclaredFiltersAdmin.has_add_permission
    actions_list = ("start_dry_run", "start")  # type: ignore[assignment]  # unfold's own is an empty tuple
    actions_list_hide_default = True
    list_display = (
        *("started_at", "state", "is_dry_run", "trigger", "started_by"),
        *("manifests", "blobs", "freed", "later", "failures"),
    )
    list_filter = ("state", "trigger", "is_dry_run")
    date_hierarchy = "started_at"
    fieldsets = (
        (None, {"fields": ("state", "started_at", "ended_at", "trigger", "started_by", "error")}),
        ("Policy", {"fields": ("is_dry_run", "remove_untagged", "grace_period", "repository")}),
        (
            "Removed (dry run: would be removed)",
            {"fields": ("manifests", "links", "blobs", "freed", "later", "uploads", "objects_deleted", "found")},
        ),
        ("Left for the next run", {"fields": ("busy", "failures")}),
    )

    @admin.display(description="freed")
    def freed(self, run: Run) -> str:
        """Format the bytes of the removed blobs."""
        return size_text(run.freed_bytes)

    @admin.display(description="after grace")
    def later(self, run: Run) -> str:
        """Format the bytes that were unreferenced when the run ended."""
        return size_text(run.later_bytes)

    @admin.display(description="listed")
    def found(self, run: Run) -> SafeString | str:
        """Link to the findings of a dry run, and count those not kept."""
        if not run.is_dry_run:
            return "only dry runs list what they find"
        count = run.findings.count()
        more = run.manifests + run.links + run.blobs + run.uploads + run.objects_deleted - count
        if not count:
            return f"{more} findings, which are not kept" if more else "nothing"
        url = f"{reverse('admin:gc_runfinding_changelist')}?run__id__exact={run.pk}"
        text = f"{count} findings" + (f", and {more} more that are not listed" if more else "")
        return format_html('<a class="text-link" href="{}">{}</a>', url, text)

    # "rehearse" stays in the URL, which somebody may have bookmarked.
    @action(description="Dry run", icon="search", permissions=["add"], url_path="rehearse")  # type: ignore[operator]  # called "Action"
    def start_dry_run(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the form, for a dry run."""
        return HttpResponseRedirect(f"{reverse('admin:gc_run_add')}?is_dry_run=on")

    @action(description="Run", icon="play_arrow", permissions=["add"])  # type: ignore[operator]  # called "Action"
    def start(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the form."""
        return HttpResponseRedirect(reverse("admin:gc_run_add"))

    def get_urls(self) -> list[URLPattern]:
        """Add the URL of `withdraw`."""
        view = self.admin_site.admin_view(self.withdraw)
        return [path("<int:pk>/withdraw/", view, name="gc_run_withdraw"), *super().get_urls()]

    def withdraw(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Withdraw a run that has not begun, then show the list of runs."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        run = get_object_or_404(Run, pk=pk)
        if queue.withdraw(run, request.user.get_username()):
            messages.success(request, "The run is withdrawn.")
        else:
            messages.error(request, "The run has begun, or was withdrawn already.")
        return self.response_post_save_add(request, run)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields of the form, or all fields of a run."""
        return [(None, {"fields": RunForm.Meta.fields})] if obj is None else super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the computed fields."""
        return () if obj is None else ("freed", "later", "found")

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Request the run, and let this process start it at once if it can."""
        assert isinstance(obj, Run)  # noqa: S101 - tells the type
        queue.add(obj, request.user.get_username())
        transaction.on_commit(scheduler.wake)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Set the title and the buttons."""
        context = {"title": "Start a run", "show_save_and_continue": False, "show_save_and_add_another": False}
        answer: HttpResponse = super().add_view(request, form_url, context | (extra_context or {}))
        return answer

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let the button of a waiting run post to `withdraw`."""
        context = {"withdraw_attrs": {"formaction": "../withdraw/"}}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context | (extra_context or {}))
        return answer

    def response_add(self, request: HttpRequest, obj: Model, post_url_continue: str | None = None) -> HttpResponse:
        """Tell when the run begins, then show the list of runs."""
        messages.success(
            request, "The run is requested. It begins within seconds, or when the one in progress has ended."
        )
        return self.response_post_save_add(request, obj)


@admin.register(RunFinding)
class RunFindingAdmin(_ReadOnlyAdmin):
    """Findings of a dry run, reached from the page of the run."""

    list_display = ("kind", "repository", "name", "human_size", "reason")
    list_display_links = None
    list_filter = ("kind",)
    linked_filters = ("run__id__exact",)
    search_fields = ("name__contains", "repository__contains")
    search_help_text = "part of a digest or repository"
    ordering = ("pk",)

    @admin.display(description="size")
    def human_size(self, finding: RunFinding) -> str:
        """Format the size of a blob; other findings have none."""
        return size_text(finding.size) if finding.kind == Kind.BLOB else ""

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Hide the table from the menu."""
        return {}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Require the permission to view runs."""
        return request.user.has_perm("gc.view_run")


@admin.register(Scrub)
class ScrubAdmin(_ReadOnlyAdmin):
    """The progress of the scrub."""

    list_display = ("__str__", "began_at", "checked", "corrupt", "failures", "rounds")
