"""Where a row is from: the configuration file or the admin; and the way back to the file."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin.bulk_deletion import BulkDeletionAdmin
from core.admin.declared_filters import DeclaredFiltersList
from core.sizes import counted
from provisioning import ledger
from provisioning.ledger import Origin
from provisioning.models import Section


class OriginFilter(admin.SimpleListFilter):
    """Rows by the words of the column `origin`."""

    title = "origin"
    parameter_name = "origin"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self.section: Section = model_admin.section
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(origin.name.lower(), str(origin)) for origin in Origin]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = Origin.__members__.get((self.value() or "").upper())
        if wanted is None:
            return queryset
        if wanted is Origin.ADMIN:
            return queryset.exclude(pk__in=ledger.pks_of_file(self.section))
        return queryset.filter(pk__in=[pk for pk, origin in ledger.origins(self.section).items() if origin is wanted])


class OriginList(DeclaredFiltersList):
    """A list whose rows know their origin, read for the rows of the page only."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = ledger.origins(cast(OriginAdmin, self.model_admin).section, [row.pk for row in self.result_list])
        for row in self.result_list:
            row.origin = found.get(row.pk, Origin.ADMIN)


class OriginAdmin(BulkDeletionAdmin):
    """Rows that the configuration file or an administrator made."""

    section: Section
    # Cells take most of the time of a page.
    list_per_page = 50
    actions: Any = ("restore",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return OriginList

    @admin.display(description="origin")
    def origin(self, row: Any) -> str:
        known = getattr(row, "origin", None)
        if known is None:
            known = ledger.origins(self.section, [row.pk]).get(row.pk, Origin.ADMIN)
        return str(known)

    @admin.action(description="Back to the file: undo what was edited here", permissions=["restore"])
    def restore(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Write the selected rows as the configuration file has them."""
        pks = list(rows.values_list("pk", flat=True))
        try:
            restored = ledger.restore(settings.REGISTRY, self.section, pks)
        except IntegrityError:
            self.message_user(request, "Nothing is restored: another row has a name of the file now.", messages.ERROR)
            return
        for row in rows.filter(pk__in=restored):
            self.log_change(request, row, "Back to the configuration file.")
        if restored:
            done = f"{counted(len(restored), str(self.opts.verbose_name))} back to the file."
            self.message_user(request, done, messages.SUCCESS)
        if left := len(pks) - len(restored):
            why = "not of the file, or the file has changed since it was imported"
            self.message_user(
                request, f"{counted(left, str(self.opts.verbose_name))} unchanged: {why}.", messages.WARNING
            )

    def has_restore_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request)
