"""Lists of the admin that are filtered by what they declare, and by nothing else that an address may say.

Django filters by any column of the model and, through its relations, of others: with `?token_hash__startswith=` or
`?owner__password__startswith=` whoever may open a list reads a column that no page shows, character by character.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.views import ChangeList


class DeclaredFiltersAdmin(ModelAdmin):
    """A list with `list_filter`, `date_hierarchy`, `search_fields` and the lookups that pages link to."""

    linked_filters: tuple[str, ...] = ()
    """Lookups in the links of other pages, as `repository__id__exact`."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the class of the list."""
        return DeclaredFiltersList


class DeclaredFiltersList(ChangeList):
    """The rows of one address. Raises DisallowedModelAdminLookup, which Django answers with 400."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Return Django's filters, once nothing is left that none of them knows."""
        found = super().get_filters(request)
        of_dates = {f"{self.date_hierarchy}__{part}" for part in ("year", "month", "day", "gte", "lt")}
        undeclared = set(found[2]) - of_dates - set(cast(DeclaredFiltersAdmin, self.model_admin).linked_filters)
        if undeclared:
            raise DisallowedModelAdminLookup(f"this list is not filtered by {', '.join(sorted(undeclared))[:100]!a}")
        return found
