"""Admin lists that accept only declared filters in their URL.

Django filters by any column of the model and of related models: with `?token_hash__startswith=` or
`?owner__password__startswith=` a user who may open the list reads a hidden column character by character.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.http import HttpRequest
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from core.admin.times import with_moments


class DeclaredFiltersAdmin(ModelAdmin):
    """A list that accepts `list_filter`, `date_hierarchy`, `search_fields` and `linked_filters`."""

    linked_filters: tuple[str, ...] = ()
    """Lookups in the links of other pages, as `repository__id__exact`."""

    heading = ""
    """The title of the list; empty: the plural of its rows."""

    empty_text = ""
    """What a list without rows says; empty: "Nothing here yet"."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        heading = self.heading or capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": heading, "heading": heading} | (extra_context or {}))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return DeclaredFiltersList

    def get_list_display(self, request: HttpRequest) -> Any:
        return with_moments(self.opts, super().get_list_display(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return with_moments(self.opts, super().get_readonly_fields(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        # A time that the form asks for stays a field.
        asked: Any = getattr(self.form, "declared_fields", {})
        return [
            (name, {**options, "fields": with_moments(self.opts, options["fields"], asked)})
            for name, options in fieldsets
        ]


class DeclaredFiltersList(ChangeList):
    """The rows of one URL. Raises DisallowedModelAdminLookup, which Django answers with 400."""

    def get_filters(self, request: HttpRequest) -> Any:
        found = super().get_filters(request)
        of_dates = {f"{self.date_hierarchy}__{part}" for part in ("year", "month", "day", "gte", "lt")}
        undeclared = set(found[2]) - of_dates - set(cast(DeclaredFiltersAdmin, self.model_admin).linked_filters)
        if undeclared:
            raise DisallowedModelAdminLookup(f"this list is not filtered by {', '.join(sorted(undeclared))[:100]!a}")
        return found
