"""The history of collection in the admin, where runs are asked for; and what dry runs found."""

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
from collector.dry_run import estimate
from collector.dry_run.results import Kind
from collector.jobs import queue, scheduler
from collector.models import Run, RunFinding, Scrub
from core.admin.declared_filters import DeclaredFiltersAdmin
from core.sizes import size_text


class _LookedAtAdmin(DeclaredFiltersAdmin):
    """Rows to be looked at."""

    list_per_page = 50
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(Run)
class RunAdmin(_LookedAtAdmin):
    """Runs, the last one first. Whoever may add runs starts them, which a process beside the server does.

    And withdraws those that have not begun.
    """

    form = RunForm
    actions_list = ("rehearse", "start")  # type: ignore[assignment]  # unfold's own is an empty tuple
    actions_list_hide_default = True
    list_display = (
        *("started_at", "state", "is_dry_run", "trigger", "started_by"),
        *("manifests", "blobs", "freed", "later", "failures"),
    )
    list_filter = ("state", "trigger", "is_dry_run")
    date_hierarchy = "started_at"
    fieldsets = (
        (None, {"fields": ("state", "started_at", "ended_at", "trigger", "started_by", "error")}),
        ("What for", {"fields": ("is_dry_run", "remove_untagged", "grace_period", "repository")}),
        (
            "What it removed; of a dry run, what would go",
            {"fields": ("manifests", "links", "blobs", "freed", "later", "uploads", "objects_deleted", "found")},
        ),
        ("What is left", {"fields": ("busy", "failures")}),
    )

    @admin.display(description="freed")
    def freed(self, run: Run) -> str:
        """Say the bytes of the blobs that the run removed."""
        return size_text(run.freed_bytes)

    @admin.display(description="after grace")
    def later(self, run: Run) -> str:
        """Say the bytes that nothing held when the run ended."""
        return size_text(run.later_bytes)

    @admin.display(description="listed")
    def found(self, run: Run) -> SafeString | str:
        """Lead to what a dry run found, and say how much more there is."""
        if not run.is_dry_run:
            return "only dry runs list what they find"
        count, more = run.findings.count(), estimate.unlisted(run)
        if not count:
            return f"{more} findings, which are not kept" if more else "nothing"
        url = f"{reverse('admin:gc_runfinding_changelist')}?run__id__exact={run.pk}"
        said = f"{count} findings" + (f", and {more} more that are not listed" if more else "")
        return format_html('<a class="text-link" href="{}">{}</a>', url, said)

    @action(description="Dry run", icon="search", permissions=["add"])  # type: ignore[operator]  # called "Action"
    def rehearse(self, request: HttpRequest) -> HttpResponse:
        """Lead to the form, for a dry run."""
        return HttpResponseRedirect(f"{reverse('admin:gc_run_add')}?is_dry_run=on")

    @action(description="Run", icon="play_arrow", permissions=["add"])  # type: ignore[operator]  # called "Action"
    def start(self, request: HttpRequest) -> HttpResponse:
        """Lead to the form, for a run."""
        return HttpResponseRedirect(reverse("admin:gc_run_add"))

    def get_urls(self) -> list[URLPattern]:
        """Add the page that a button of a run that waits posts to."""
        view = self.admin_site.admin_view(self.withdraw)
        return [path("<int:pk>/withdraw/", view, name="gc_run_withdraw"), *super().get_urls()]

    def withdraw(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let the run not happen if it has not begun, and show the runs."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        run = get_object_or_404(Run, pk=pk)
        if queue.withdraw(run, request.user.get_username()):
            messages.success(request, "The run is withdrawn.")
        else:
            messages.error(request, "The run does not wait any more: it can't be withdrawn.")
        return self.response_post_save_add(request, run)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what there is to say of a new run, or to see of one."""
        return [(None, {"fields": RunForm.Meta.fields})] if obj is None else super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return everything that a form can't hold."""
        return () if obj is None else ("freed", "later", "found")

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Ask for the run; this process looks at once whether it can begin."""
        assert isinstance(obj, Run)  # noqa: S101 - tells the type
        queue.add(obj, request.user.get_username())
        transaction.on_commit(scheduler.call)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Call the page what it is for."""
        said = {"title": "Start a run", "show_save_and_continue": False, "show_save_and_add_another": False}
        answer: HttpResponse = super().add_view(request, form_url, said | (extra_context or {}))
        return answer

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let the button of a run that waits post to the page that withdraws it."""
        said = {"withdraw_attrs": {"formaction": "../withdraw/"}}
        answer: HttpResponse = super().change_view(request, object_id, form_url, said | (extra_context or {}))
        return answer

    def response_add(self, request: HttpRequest, obj: Model, post_url_continue: str | None = None) -> HttpResponse:
        """Say what happens now, and show the runs."""
        messages.success(request, "The run is requested. It begins within seconds, or when the one at work has ended.")
        return self.response_post_save_add(request, obj)


@admin.register(RunFinding)
class RunFindingAdmin(_LookedAtAdmin):
    """What a dry run found: the page of the run leads here."""

    list_display = ("kind", "repository", "name", "human_size", "reason")
    list_display_links = None
    list_filter = ("kind",)
    linked_filters = ("run__id__exact",)
    search_fields = ("name__contains", "repository__contains")
    search_help_text = "part of a digest or repository"
    ordering = ("pk",)

    @admin.display(description="size")
    def human_size(self, finding: RunFinding) -> str:
        """Say the size of a blob; nothing else is counted in bytes."""
        return size_text(finding.size) if finding.kind == Kind.BLOB else ""

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Stand in no menu."""
        return {}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Show them to whoever sees the runs."""
        return request.user.has_perm("gc.view_run")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False


@admin.register(Scrub)
class ScrubAdmin(_LookedAtAdmin):
    """How far the slow reading of every blob has come."""

    list_display = ("__str__", "began_at", "checked", "corrupt", "failures", "rounds")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: a job writes it."""
        return False
