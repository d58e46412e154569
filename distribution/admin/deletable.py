"""Admin pages that delete by the domain verb, which takes the locks in their order and cascades nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from accounts import permissions_version
from audit.kinds import Kind
from audit.recording import record
from core.admin.bulk_deletion import LISTED, tell_deleted
from core.api.errors import RegistryError
from distribution.admin.read_only import ReadOnlyAdmin
from distribution.models import Repository
from policies.immutability import Obstacle, override_note

logger = logging.getLogger(__name__)

REPR_CHARACTERS = 200
"""The length of `LogEntry.object_repr`."""


class DeletableAdmin(ReadOnlyAdmin):
    """Rows that a domain verb deletes one by one; a refused deletion shows the verb's reason.

    A superuser who says why may set immutability aside for a single row. Subclasses define `delete_row`, `tags_of` and
    `describe`.
    """

    delete_confirmation_template = "admin/distribution/delete_confirmation.html"

    def delete_row(self, row: Any, account: str, *, is_overridden: bool = False) -> None:
        """Delete the row for `account`, in a transaction of its own. Raises RegistryError."""
        raise NotImplementedError

    def tags_of(self, row: Any) -> Iterable[str]:
        """Return the tags that are deleted with the row; they are read only where a policy is about tags."""
        raise NotImplementedError

    def obstacle_of(self, row: Any) -> Obstacle | None:
        """Return what keeps the row from deletion."""
        repository = getattr(row, "repository", row)
        return Obstacle.to_deletion(repository.name, permissions_version.current(), self.tags_of(row))

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> Any:
        """Say what keeps the row, and ask a superuser for the reason to set that aside."""
        obstacle = self.obstacle_of(context["object"])
        is_overridable = obstacle is not None and obstacle.is_overridable
        context |= {"obstacle": obstacle, "overrides": is_overridable and request.user.is_superuser}
        return super().render_delete_form(request, context)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return DjangoModelAdmin.has_delete_permission(self, request, obj)

    def delete_few(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Confirm by Django's page, then delete every row that can be, and report the others."""
        if "post" not in request.POST:
            return super().delete_few(request, queryset)
        rows = list(queryset)
        reasons = self.delete_rows(request, rows)
        tell_deleted(self, request, len(rows) - len(reasons))
        for reason in reasons[:LISTED]:
            self.message_user(request, reason, messages.ERROR)
        return None

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Return the rows for the confirmation: nothing cascades, and the verb decides what protects a row."""
        count = objs.count() if isinstance(objs, QuerySet) else len(objs)
        named = [self.describe(row) for row in objs[:LISTED]]
        if count > LISTED:
            named.append(f"… and {count - LISTED} more")
        return named, {str(self.opts.verbose_name_plural): count}, set(), []

    @method_decorator(csrf_protect)
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Confirm, then delete, without Django's transaction around it: the verb has its own, and retries it."""
        try:
            answer: HttpResponse = self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined]
        except RegistryError as error:
            self.message_user(request, reason_of(error), messages.ERROR)
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return answer

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Redirect to the list, as Django does only for users who may change rows."""
        super().response_delete(request, obj_display, obj_id)
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        entry, note = self.entry_of(request, obj), ""
        if request.user.is_superuser and (obstacle := self.obstacle_of(obj)) and obstacle.is_overridable:
            note = override_note(request.POST.get("reason", ""))
        self.delete_row(obj, request.user.get_username(), is_overridden=bool(note))
        entry.change_message = "; ".join(filter(None, [entry.change_message, note]))
        self.record(request, [(entry, obj)])

    def delete_rows(self, request: HttpRequest, rows: list[Any]) -> list[str]:
        """Delete `rows` one by one, log the deletions, and return why each of the others stays."""
        refused: list[str] = []
        deleted: list[tuple[LogEntry, Any]] = []
        try:
            for row in rows:
                entry = self.entry_of(request, row)
                try:
                    self.delete_row(row, request.user.get_username())
                except RegistryError as error:
                    refused.append(f"{entry.change_message} is still there: {reason_of(error)}")
                else:
                    deleted.append((entry, row))
        finally:
            self.record(request, deleted)
        return refused

    def record(self, request: HttpRequest, deleted: list[tuple[LogEntry, Any]]) -> None:
        """Store the entries of deleted rows, and log and record each like a deletion by the API."""
        LogEntry.objects.bulk_create([entry for entry, _ in deleted])
        account = request.user.get_username()
        about = {"account": account, "client": request.META.get("REMOTE_ADDR")}
        for entry, row in deleted:
            logger.info("%s deleted", self.opts.verbose_name, extra={"what": entry.change_message, **about})
            record(
                Kind(f"{self.opts.model_name}_deleted"),
                request,
                account=account,
                credential="session",
                repository=getattr(row, "repository", row).name,
                reference="" if isinstance(row, Repository) else str(row),
                digest=getattr(row, "digest", ""),
                detail=entry.change_message,
            )

    def entry_of(self, request: HttpRequest, row: Model) -> LogEntry:
        """Return the log entry for the deletion of `row`, made while the row still exists."""
        user: Any = request.user.pk
        return LogEntry(
            user_id=user,
            content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
            object_id=row.pk,
            object_repr=str(row)[:REPR_CHARACTERS],
            action_flag=DELETION,
            change_message=self.describe(row),
        )

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Any]) -> list[Any]:
        """Log nothing yet: Django calls this before the deletion, which the verb may refuse."""
        return []


def reason_of(error: RegistryError) -> str:
    """Return the error's reason as a sentence."""
    detail = error.detail
    if not isinstance(detail, dict):
        return str(detail or error.message)
    reason = str(detail.get("reason", error.message))
    parents = ", ".join(map(str, detail.get("parents", ())))
    return f"{reason} ({parents})" if parents else reason
