"""Delete rows by the verb of the domain, which takes the locks in their order and lets nothing cascade."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.utils import model_ngettext
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from distribution.admin.looking import LookedAtAdmin
from tokens.errors import RegistryError

LISTED = 100
"""How many rows a confirmation or an error message names."""


class DeletedByVerbAdmin(LookedAtAdmin):
    """Rows that one verb deletes, one by one: each deletion is whole, or refused with the verb's reason.

    A subclass says `delete_by_verb` and `said`.
    """

    def delete_by_verb(self, row: Any) -> None:
        """Delete the row, in a transaction of its own. Raises RegistryError."""
        raise NotImplementedError

    def said(self, row: Any) -> str:
        """Return what to call the row before it is deleted."""
        return str(row)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permission."""
        return DjangoModelAdmin.has_delete_permission(self, request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Replace Django's own deletion of several rows."""
        actions: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in actions:
            actions["delete_selected"] = (_delete_selected, *actions["delete_selected"][1:])
        return actions

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Return what the confirmation names: nothing cascades, and the verb judges what protects a row."""
        count = objs.count() if isinstance(objs, QuerySet) else len(objs)
        named = [self.said(row) for row in objs[:LISTED]]
        if count > LISTED:
            named.append(f"… and {count - LISTED} more")
        return named, {str(self.opts.verbose_name_plural): count}, set(), []

    @method_decorator(csrf_protect)
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Confirm, then delete, outside of the transaction that Django would put around it.

        The verb has its own, which it begins again when it lost a race.
        """
        try:
            answer: HttpResponse = self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined]
        except RegistryError as error:
            self.message_user(request, reason(error), messages.ERROR)
            return self._to_list()
        return answer

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Say that it is gone, and go back to the list: Django leaves it to those who may change rows."""
        super().response_delete(request, obj_display, obj_id)
        return self._to_list()

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete one row, then log what it was."""
        said = self.said(obj)
        self.delete_by_verb(obj)
        user: Any = request.user.pk
        LogEntry.objects.log_actions(user, [obj], DELETION, said, single_object=True)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete each of the rows that can be, and say what became of all."""
        rows = list(queryset)
        refused = self._delete_each(request, rows)
        if deleted := len(rows) - len(refused):
            self.message_user(request, f"Deleted {_counted(self, deleted)}.", messages.SUCCESS)
        for row, error in refused[:LISTED]:
            self.message_user(request, f"{self.said(row)} is still there: {reason(error)}", messages.ERROR)

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Any]) -> list[Any]:
        """Log nothing yet: Django asks before the deletion, which the verb may refuse."""
        return []

    def _to_list(self) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def _delete_each(self, request: HttpRequest, rows: list[Any]) -> list[tuple[Any, RegistryError]]:
        """Return the rows that were refused.

        An index has to go before the manifests that it lists; it is younger than they are, and comes first.
        """
        refused: list[tuple[Any, RegistryError]] = []
        for row in rows:
            try:
                self.delete_model(request, row)
            except RegistryError as error:
                refused.append((row, error))
        return refused


def _delete_selected(admin: DeletedByVerbAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
    """Ask with Django's page, then delete."""
    if "post" not in request.POST:
        return delete_selected(admin, request, queryset)
    admin.delete_queryset(request, queryset)
    return None


def reason(error: RegistryError) -> str:
    """Return why the registry refused, as a sentence for a person."""
    detail = error.detail
    if not isinstance(detail, dict):
        return str(detail or error.code.message)
    said = str(detail.get("reason", error.code.message))
    parents = ", ".join(map(str, detail.get("parents", ())))
    return f"{said} ({parents})" if parents else said


def _counted(admin: DeletedByVerbAdmin, count: int) -> str:
    return f"{count} {model_ngettext(admin.opts, count)}"
