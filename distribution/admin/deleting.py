"""Delete rows by the verb of the domain, which takes the locks in their order and lets nothing cascade."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from core.admin.bulk_deletion import LISTED, tell_deleted
from core.api.errors import RegistryError
from distribution.admin.looking import ReadOnlyAdmin

logger = logging.getLogger(__name__)

REPR_CHARACTERS = 200
"""As many as the log keeps of what a row is called."""


class DeletedByVerbAdmin(ReadOnlyAdmin):
    """Rows that one verb deletes, one by one: each deletion is whole, or refused with the verb's reason.

    A subclass says `delete_by_verb` and `name_of`.
    """

    def delete_by_verb(self, row: Any) -> None:
        """Delete the row, in a transaction of its own. Raises RegistryError."""
        raise NotImplementedError

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permission."""
        return DjangoModelAdmin.has_delete_permission(self, request, obj)

    def delete_few(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask with Django's page, then delete each of the rows that can be, and say what became of all."""
        if "post" not in request.POST:
            return super().delete_few(request, queryset)
        rows = list(queryset)
        reasons = self.delete_rows(request, rows)
        tell_deleted(self, request, len(rows) - len(reasons))
        for said in reasons[:LISTED]:
            self.message_user(request, said, messages.ERROR)
        return None

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Return what the confirmation names: nothing cascades, and the verb judges what protects a row."""
        count = objs.count() if isinstance(objs, QuerySet) else len(objs)
        named = [self.name_of(row) for row in objs[:LISTED]]
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
        entry = self.entry_of(request, obj)
        self.delete_by_verb(obj)
        self.record(request, [entry])

    def delete_rows(self, request: HttpRequest, rows: list[Any]) -> list[str]:
        """Delete each of `rows` by the verb, then log what they were; return why each of the others stays."""
        refused: list[str] = []
        deleted: list[LogEntry] = []
        try:
            for row in rows:
                entry = self.entry_of(request, row)
                try:
                    self.delete_by_verb(row)
                except RegistryError as error:
                    refused.append(f"{entry.change_message} is still there: {reason(error)}")
                else:
                    deleted.append(entry)
        finally:
            self.record(request, deleted)
        return refused

    def record(self, request: HttpRequest, entries: list[LogEntry]) -> None:
        """Keep the entries of deletions that were done, and log each as those of the API are."""
        LogEntry.objects.bulk_create(entries)
        about = {"account": request.user.get_username(), "client": request.META.get("REMOTE_ADDR")}
        for entry in entries:
            logger.info("%s deleted", self.opts.verbose_name, extra={"what": entry.change_message, **about})

    def entry_of(self, request: HttpRequest, row: Model) -> LogEntry:
        """Return the entry of the log for the deletion of `row`, made while there is something to say of it."""
        user: Any = request.user.pk
        return LogEntry(
            user_id=user,
            content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
            object_id=row.pk,
            object_repr=str(row)[:REPR_CHARACTERS],
            action_flag=DELETION,
            change_message=self.name_of(row),
        )

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Any]) -> list[Any]:
        """Log nothing yet: Django asks before the deletion, which the verb may refuse."""
        return []

    def _to_list(self) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))


def reason(error: RegistryError) -> str:
    """Return why the registry refused, as a sentence for a person."""
    detail = error.detail
    if not isinstance(detail, dict):
        return str(detail or error.code.message)
    said = str(detail.get("reason", error.code.message))
    parents = ", ".join(map(str, detail.get("parents", ())))
    return f"{said} ({parents})" if parents else said
