"""Access rules in the admin."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.http import urlencode

from acl import actions as action_list
from acl.forms import FIELDS, RuleForm
from acl.models import Rule, SubjectKind
from administration.explain import ExplainForm
from administration.origin import OriginFilter, OriginList
from administration.preview import Preview, idle_reason, idle_reasons
from administration.previewed import PreviewedAdmin
from provisioning.models import Section


class AllowsFilter(admin.SimpleListFilter):
    """Rules that allow an action, by name or by `*`."""

    title = "what it allows"
    parameter_name = "allows"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(action, action) for action in (action_list.PULL, action_list.PUSH, action_list.DELETE)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rule]) -> QuerySet[Rule]:
        wanted = self.value()
        if wanted not in action_list.CONCRETE:
            return queryset
        return queryset.filter(Q(actions__contains=wanted) | Q(actions__contains=action_list.EVERY))


class _RuleList(OriginList):
    """A list whose rules know why they have no effect."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        reasons = idle_reasons(self.result_list)
        for rule in self.result_list:
            rule.idle_reason = reasons.get(rule.pk, "")


@admin.register(Rule)
class RuleAdmin(PreviewedAdmin):
    """Access rules; a change applies to the next request in every process."""

    form = RuleForm
    section = Section.ACL
    list_display = ("sentence", "effect", "comment", "origin", "created_at")
    list_filter = ("subject_kind", AllowsFilter, OriginFilter)
    preview_template = "admin/acl/rule/preview.html"
    search_fields = ("subject", "name", "comment")
    search_help_text = "an account, a group, a repository or a comment"
    readonly_fields = ("origin", "created_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return FIELDS if obj is None else (*FIELDS, "origin", "created_at")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return _RuleList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.explain_view)
        return [path("explain/", view, name="acl_rule_explain"), *super().get_urls()]

    def explain_view(self, request: HttpRequest) -> HttpResponse:
        """Explain why an account may do something, or not."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = ExplainForm(
            request.GET if "repository" in request.GET else None,
            initial=request.GET.dict(),
            may_view_accounts=request.user.has_perm("accounts.view_account"),
        )
        explanation = form.explanation() if form.is_valid() else None
        shown: dict[str, Any] = {"title": "Explain a decision", "form": form, "explanation": explanation}
        if explanation is not None:
            asked = form.cleaned_data
            kind = SubjectKind.ANONYMOUS if asked["account"].is_anonymous else SubjectKind.ACCOUNT
            values = {"subject_kind": kind, "subject": asked["account"].name}
            shown["add_query"] = urlencode(values | {"name": asked["repository"], "actions": asked["action"]})
        return TemplateResponse(request, "admin/acl/rule/explain.html", self.admin_site.each_context(request) | shown)

    def form_of_preview(self) -> Any:
        return RuleForm

    def preview_of(self, row: Rule) -> Preview:
        return Preview.of(row)

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Save the rule, and warn if it has no effect."""
        super().save_model(request, obj, form, change)
        if reason := idle_reason(cast(Rule, obj)):
            messages.warning(request, f"This rule has no effect: {reason}.")

    @admin.display(ordering="subject", description="rule")
    def sentence(self, rule: Rule) -> str:
        return str(rule)

    @admin.display(description="without effect")
    def effect(self, rule: Any) -> str | None:
        return rule.idle_reason or None
