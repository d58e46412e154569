"""Pages that show, while somebody edits a row, what it would do now."""

from __future__ import annotations

from copy import copy
from typing import Any

from django.contrib.admin.helpers import AdminErrorList
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from administration.origin import OriginAdmin
from core.api.row_key import row_key


class PreviewedAdmin(OriginAdmin):
    """Rows with a preview: by a script as one types, and by a button that saves nothing."""

    model: type[Model]
    change_form_after_template: Any = "admin/previewed/part.html"
    preview_template: str
    """What shows the preview, or the errors of the form."""

    class Media:
        js = ("administration/preview.js",)

    def form_of_preview(self) -> Any:
        """Return the class of the form that reads the query."""
        raise NotImplementedError

    def preview_of(self, row: Any) -> object:
        """Return what a valid row, saved or not, does now."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview_view)
        return [path("preview/", view, name=self._preview_name()), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return the part of a row's page that says what the row of the query does now."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.model._default_manager.filter(pk=row_key(request.GET.get("pk", ""))).first()  # noqa: SLF001
        shown = self._previewed(self.form_of_preview()(request.GET, instance=row))
        return TemplateResponse(request, self.preview_template, shown)

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
        shown: dict[str, Any] = {
            "preview_url": reverse(f"admin:{self._preview_name()}"),
            "preview_template": self.preview_template,
        }
        if sent is not None:
            # The page shows what was sent, with errors at its fields; validation writes into the row, here a copy.
            page.form = type(page.form)(sent, instance=copy(row))
            shown |= self._previewed(page.form) | {"errors": AdminErrorList(page.form, [])}
        elif row is not None and not page.form.is_bound:
            shown["preview"] = self.preview_of(row)
        return super().render_change_form(request, context | shown, *args, **kwargs)

    def _preview_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_preview"

    def _previewed(self, form: Any) -> dict[str, Any]:
        """Return the preview of a form's row, or its errors, for the template."""
        if form.is_valid():
            return {"preview": self.preview_of(form.instance)}
        return {"preview_errors": [error for errors in form.errors.values() for error in errors]}
