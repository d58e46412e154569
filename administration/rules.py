"""Access rules in the admin."""

from __future__ import annotations

from copy import copy
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminErrorList
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
from administration.origin import OriginAdmin, OriginFilter, OriginList
from administration.preview import Preview, idle_reason, idle_reasons
from core.api.row_key import row_key
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
class RuleAdmin(OriginAdmin):
    """Access rules; a change applies to the next request in every process."""

    form = RuleForm
    section = Section.ACL
    list_display = ("sentence", "effect", "comment", "origin", "created_at")
    list_filter = ("subject_kind", AllowsFilter, OriginFilter)
    change_form_after_template: Any = "admin/acl/rule/preview_part.html"
    search_fields = ("subject", "name", "comment")
    search_help_text = "an account, a group, a repository or a comment"
    readonly_fields = ("origin", "created_at")

    class Media:
        js = ("administration/rule_preview.js",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return FIELDS if obj is None else (*FIELDS, "origin", "created_at")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return _RuleList

    def get_urls(self) -> list[URLPattern]:
        own = (("explain", self.explain_view), ("preview", self.preview_view))
        paths = [path(f"{verb}/", self.admin_site.admin_view(view), name=f"acl_rule_{verb}") for verb, view in own]
        return [*paths, *super().get_urls()]

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

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return the part of a rule's page that says what the rule of the query does now."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rule = Rule.objects.filter(pk=row_key(request.GET.get("pk", ""))).first()
        return TemplateResponse(
            request, "admin/acl/rule/preview.html", _previewed(RuleForm(request.GET, instance=rule))
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Answer the button "Preview" with the form as it was sent, and save nothing."""
        if "_preview" not in request.POST:
            return super().changeform_view(request, object_id, form_url, extra_context)
        self._require_change(request, object_id)
        sent = request.POST
        request.method = "GET"
        context = {"sent": sent} | (extra_context or {})
        return super().changeform_view(request, object_id, form_url, context)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Add the preview."""
        rule, sent = context.get("original"), context.get("sent")
        page = context["adminform"]
        if sent is not None:
            # The page shows what was sent, with errors at its fields; validation writes into the rule, here a copy.
            page.form = type(page.form)(sent, instance=copy(rule))
            preview = _previewed(page.form) | {"errors": AdminErrorList(page.form, [])}
        else:
            preview = {} if rule is None or page.form.is_bound else {"preview": Preview.of(rule)}
        return super().render_change_form(request, context | preview, *args, **kwargs)

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

    def _require_change(self, request: HttpRequest, object_id: str | None) -> None:
        rule = None if object_id is None else self.get_object(request, object_id)
        is_allowed = self.has_add_permission(request) if rule is None else self.has_change_permission(request, rule)
        if not is_allowed:
            raise PermissionDenied


def _previewed(form: Any) -> dict[str, Any]:
    """Return the preview of a form's rule, or its errors, for the template."""
    if form.is_valid():
        return {"preview": Preview.of(form.instance)}
    return {"preview_errors": [error for errors in form.errors.values() for error in errors]}
