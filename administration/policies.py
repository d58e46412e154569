"""Policies in the admin: a list and a form for each kind."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import AdminErrorList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from administration.origin import OriginAdmin, OriginFilter
from administration.preview import Matches, repositories_of
from core.api.row_key import row_key
from policies.forms import form_of
from policies.kinds import KINDS
from policies.models import Policy
from policies.models.quota import SizeField
from provisioning.models import Section


@dataclass(frozen=True, slots=True)
class Preview:
    """What a valid policy, saved or not, does now."""

    sentence: str
    repositories: Matches

    @classmethod
    def of(cls, policy: Policy) -> Preview:
        """Return the preview of `policy`."""
        return cls(str(policy), repositories_of(policy.repositories, policy.holds_for))


class PolicyAdmin(OriginAdmin):
    """Policies of one kind; a change applies to the next request in every process."""

    model: type[Policy]
    list_display = ("sentence", "comment", "origin", "created_at")
    list_filter = (OriginFilter,)
    search_fields = ("repositories", "comment")
    search_help_text = "a repository or a comment"
    readonly_fields = ("origin", "created_at")
    # A field for numbers shows nothing for 10GiB, and a save would drop the limit.
    formfield_overrides: Any = {SizeField: {"widget": UnfoldAdminTextInputWidget}}  # type: ignore[misc]  # stubs differ
    change_form_after_template: Any = "admin/policies/preview_part.html"

    class Media:
        js = ("administration/policy_preview.js",)

    @property
    def section(self) -> Section:  # type: ignore[override]  # of the model
        return Section(self.model.kind)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.model.entered if obj is None else (*self.model.entered, "origin", "created_at")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview_view)
        return [path("preview/", view, name=f"policies_{self.opts.model_name}_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return the part of a policy's page that says what the policy of the query does now."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.model._default_manager.filter(pk=row_key(request.GET.get("pk", ""))).first()  # noqa: SLF001
        shown = _previewed(form_of(self.model)(request.GET, instance=row))
        return TemplateResponse(request, "admin/policies/preview.html", shown)

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
        row = None if object_id is None else self.get_object(request, object_id)
        if not (self.has_add_permission(request) if row is None else self.has_change_permission(request, row)):
            raise PermissionDenied
        sent = request.POST
        request.method = "GET"
        return super().changeform_view(request, object_id, form_url, {"sent": sent} | (extra_context or {}))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Add the preview."""
        row, sent, page = context.get("original"), context.get("sent"), context["adminform"]
        shown: dict[str, Any] = {"preview_url": reverse(f"admin:policies_{self.opts.model_name}_preview")}
        if sent is not None:
            # Validation writes into the policy, here a copy.
            page.form = type(page.form)(sent, instance=copy(row))
            shown |= _previewed(page.form) | {"errors": AdminErrorList(page.form, [])}
        elif row is not None and not page.form.is_bound:
            shown["preview"] = Preview.of(row)
        return super().render_change_form(request, context | shown, *args, **kwargs)

    @admin.display(ordering="repositories", description="policy")
    def sentence(self, policy: Policy) -> str:
        return str(policy)


def _previewed(form: Any) -> dict[str, Any]:
    """Return the preview of a form's policy, or its errors, for the template."""
    if form.is_valid():
        return {"preview": Preview.of(form.instance)}
    return {"preview_errors": [error for errors in form.errors.values() for error in errors]}


for _kind in KINDS:
    admin.site.register(_kind, type(f"{_kind.__name__}Admin", (PolicyAdmin,), {"__module__": __name__}))
