"""Runs of the collector: new ones are requested here, and plans applied."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action

from collector import plan
from collector.admin.forms import RunForm
from collector.admin.read_only import ReadOnlyAdmin
from collector.jobs import queue, scheduler
from collector.models import Run, State
from core.api.row_key import row_key
from core.durations import format_duration
from core.sizes import size_text


class DoesFilter(admin.SimpleListFilter):
    """Runs by the words of the column."""

    title = "what it does"
    parameter_name = "does"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("nothing", "dry run: changes nothing"), ("removes", "removes"), ("applies", "applies a plan")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        if self.value() == "nothing":
            return queryset.filter(is_dry_run=True)
        if self.value() not in ("removes", "applies"):
            return queryset
        return queryset.filter(is_dry_run=False, plan__isnull=self.value() == "removes")


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs, newest first. The permission to add runs covers requesting and withdrawing one.

    A process beside the server performs them.
    """

    heading = "Collection runs"
    empty_text = "No collection has run yet"
    form = RunForm
    has_add_permission = ModelAdmin.has_add_permission
    actions_list = ("start_dry_run", "start")  # type: ignore[assignment]  # unfold's own is an empty tuple
    actions_list_hide_default = True
    list_display = (
        *("started_at", "state", "does", "trigger", "started_by"),
        *("tags", "manifests", "blobs", "freed", "later", "failures"),
    )
    list_filter = ("state", DoesFilter, "trigger")
    date_hierarchy = "started_at"
    fieldsets = (
        (None, {"fields": ("does", "state", "started_at", "ended_at", "trigger", "started_by", "error")}),
        ("Policy", {"fields": ("remove_untagged", "grace", "repository")}),
        (
            "Removed (dry run: would be removed)",
            {
                "fields": (
                    "tags",
                    "manifests",
                    "links",
                    "blobs",
                    "freed",
                    "later",
                    "uploads",
                    "objects_deleted",
                    "found",
                )
            },
        ),
        ("Left for the next run", {"fields": ("busy", "failures")}),
    )

    @admin.display(description="what it does", ordering="is_dry_run")
    def does(self, run: Run) -> SafeString | str:
        """Say whether the run removes something, and link to the plan that it applies."""
        if run.plan_id is None:
            return "dry run: changes nothing" if run.is_dry_run else "removes"
        planned = Run.objects.filter(pk=run.plan_id).first()
        if planned is None:
            return "removes what a plan listed that is not kept"
        url = reverse("admin:gc_run_change", args=[planned.pk])
        return format_html('applies the plan of <a class="text-link" href="{}">{}</a>', url, planned)

    @admin.display(description="grace period")
    def grace(self, run: Run) -> str:
        """Format the duration as the configuration file writes it."""
        return format_duration(run.grace_period)

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
        more = run.tags + run.manifests + run.links + run.blobs + run.uploads + run.objects_deleted - count
        if not count:
            return f"{more} findings, which are not kept" if more else "nothing"
        url = plan_url(run)
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
        """Add the URLs of `withdraw` and `apply`."""
        own = (("withdraw", self.withdraw), ("apply", self.apply))
        paths = [
            path(f"<int:pk>/{verb}/", self.admin_site.admin_view(view), name=f"gc_run_{verb}") for verb, view in own
        ]
        return [*paths, *super().get_urls()]

    def apply(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, then request a run that removes what the dry run listed, except what is excluded."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        run = get_object_or_404(Run, pk=pk)
        refusal = plan.why_not_applicable(run) or (queue.WAITING if queue.has_waiting() else "")
        if refusal:
            messages.error(request, refusal)
            return HttpResponseRedirect(reverse("admin:gc_run_change", args=[pk]))
        summary = plan.Summary.of(run)
        is_confirmed = request.method == "POST" and request.POST.get("counts") == summary.counts
        if not is_confirmed:
            if request.method == "POST":
                messages.warning(request, "The plan has changed meanwhile: this is what it removes now.")
            shown = {"title": "Apply the plan", "opts": self.opts, "original": run, "media": self.media}
            context = self.admin_site.each_context(request) | shown | {"plan": summary, "run": run}
            return TemplateResponse(request, "admin/gc/run/apply.html", context)
        application = plan.application_of(run)
        try:
            queue.add(application, request.user.get_username())
        except queue.WaitingError:
            messages.error(request, queue.WAITING)
            return HttpResponseRedirect(reverse("admin:gc_run_change", args=[pk]))
        transaction.on_commit(scheduler.wake)
        self.log_addition(request, application, f"applies the plan of run {run.pk}")
        messages.success(request, "The plan is about to be applied: this page shows the progress.")
        return HttpResponseRedirect(reverse("admin:gc_run_change", args=[application.pk]))

    def withdraw(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Withdraw a run that has not begun, then show the list of runs."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        run = get_object_or_404(Run, pk=pk)
        if queue.withdraw(run, request.user.get_username()):
            self.log_change(request, run, "withdrawn")
            messages.success(request, "The run is withdrawn.")
        else:
            messages.error(request, "The run has begun, or was withdrawn already.")
        return self.response_post_save_add(request, run)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields of the form, or all fields of a run."""
        return [(None, {"fields": RunForm.Meta.fields})] if obj is None else super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the computed fields."""
        return () if obj is None else ("does", "grace", "freed", "later", "found")

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
        try:
            answer: HttpResponse = super().add_view(request, form_url, context | (extra_context or {}))
        except queue.WaitingError:
            # Requested since the form was checked.
            messages.error(request, queue.WAITING)
            return HttpResponseRedirect(reverse("admin:gc_run_changelist"))
        return answer

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer the verbs of the run's state, and reload the page until the run has ended."""
        run = Run.objects.filter(pk=row_key(object_id)).first()
        context: dict[str, Any] = {"withdraw_attrs": {"formaction": "../withdraw/"}}
        if run is not None:
            context["is_under_way"] = run.state in (State.REQUESTED, State.RUNNING)
            context["has_plan"] = not plan.why_not_applicable(run)
            context["plan_url"] = plan_url(run)
        answer: HttpResponse = super().change_view(request, object_id, form_url, context | (extra_context or {}))
        return answer

    def response_add(self, request: HttpRequest, obj: Model, post_url_continue: str | None = None) -> HttpResponse:
        """Tell when the run begins, and show its page, which reloads itself until the run has ended."""
        messages.success(
            request, "The run is requested. It begins within seconds, or when the one in progress has ended."
        )
        return HttpResponseRedirect(reverse("admin:gc_run_change", args=[obj.pk]))


def plan_url(run: Run) -> str:
    """Return the URL of the list of a run's findings."""
    return f"{reverse('admin:gc_runfinding_changelist')}?run__id__exact={run.pk}"
