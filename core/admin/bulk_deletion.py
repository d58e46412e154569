"""Delete any number of rows from an admin list: in slices, with a progress page between them.

    list ── all rows ──> confirmation ── POST ──> slice ──> "400 of 10,000" ── refresh ──> slice ──> … ──> list

Django's confirmation posts each row as a form field, at most a thousand. Here the form has the list's filter and the
newest confirmed row: rows added later are kept. Each slice evaluates the filter again.

The state between slices is in the URL of the next one, signed for the account that confirmed. So the deletion needs
neither JavaScript nor a session, ends when the page is closed, and a URL that is opened again can only continue the
confirmed deletion, for TOTAL_SECONDS at most.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.contrib import messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import model_ngettext
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin

from core.admin.declared_filters import DeclaredFiltersAdmin

LISTED = 100
"""The number of rows that a confirmation names; up to that many are deleted at once, as in Django."""

BATCH = 100
FIRST_SECONDS = 10.0
"""The time of the first slice, in which most deletions end."""

SLICE_SECONDS = 2.0
VALID_SECONDS = 600
"""The lifetime of a confirmation, and of the URL of the next slice."""

TOTAL_SECONDS = 6 * 3600
"""The lifetime of a deletion from its confirmation on: two million rows, at a hundred a second."""

REASONS = 5
REASON_CHARACTERS = 200

# A URL that is only opened can continue a deletion, never begin one.
_CONFIRMED, _CONTINUED = "confirmed deletion", "deletion under way"


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a deletion: the rows of `filters` with a key below `before` are left."""

    filters: str
    before: int
    total: int
    confirmed_at: float = 0.0
    deleted: int = 0
    refused: int = 0
    reasons: tuple[str, ...] = ()

    def after(self, batch: list[Any], reasons: list[str]) -> Progress:
        """Return the state after `batch`, of which one row stays for each of `reasons`."""
        return replace(
            self,
            before=batch[-1].pk,
            deleted=self.deleted + len(batch) - len(reasons),
            refused=self.refused + len(reasons),
            reasons=(*self.reasons, *(reason[:REASON_CHARACTERS] for reason in reasons))[:REASONS],
        )


class BulkDeletionAdmin(DeclaredFiltersAdmin):
    """Lists whose filtered rows can all be deleted, however many they are."""

    def delete_rows(self, request: HttpRequest, rows: list[Any]) -> list[str]:
        """Delete those of `rows` that may be deleted; return why each of the others stays."""
        reasons = {row.pk: self._why_not(request, [row]) for row in rows} if self._why_not(request, rows) else {}
        kept = {pk: reason for pk, reason in reasons.items() if reason}
        pks = [row.pk for row in rows if row.pk not in kept]
        deleted: QuerySet[Any] = self.get_queryset(request).filter(pk__in=pks)
        # Together: a deletion that fails is neither logged nor recorded.
        with transaction.atomic():
            self.log_deletions(request, deleted)
            self.delete_queryset(request, deleted)
        return [f"{row} is still there: {kept[row.pk]}" for row in rows if row.pk in kept]

    def describe(self, row: Any) -> str:
        """Return the row's description for confirmations."""
        return str(row)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in actions:
            actions["delete_selected"] = (_delete_selected, *actions["delete_selected"][1:])
        return actions

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.continue_deletion)
        name = f"{self.opts.app_label}_{self.opts.model_name}_deleting"
        return [path("deleting/<str:state>/", view, name=name), *super().get_urls()]

    def delete_few(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Confirm by Django's page, then delete at once."""
        with transaction.atomic():
            return delete_selected(self, request, queryset)

    def delete_many(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Confirm by a page that names some of the rows, then delete the first slice."""
        if "confirmed" not in request.POST:
            return self._confirmation(request, queryset)
        try:
            confirmed = self._signer(request, _CONFIRMED).unsign_object(
                request.POST["confirmed"], max_age=VALID_SECONDS
            )
        except signing.BadSignature:
            return self._expired(request)
        progress = replace(Progress(**confirmed), confirmed_at=time.time())
        progress, is_over = self._slice(request, progress, FIRST_SECONDS)
        return self._end(request, progress) if is_over else HttpResponseRedirect(self._address(request, progress))

    def continue_deletion(self, request: HttpRequest, state: str) -> HttpResponse:
        """Delete the next slice, and answer with a progress page that requests the one after it."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        try:
            progress = Progress(**self._signer(request, _CONTINUED).unsign_object(state, max_age=VALID_SECONDS))
        except signing.BadSignature:
            return self._expired(request)
        if time.time() - progress.confirmed_at > TOTAL_SECONDS:
            return self._expired(request)
        progress, is_over = self._slice(request, progress, SLICE_SECONDS)
        if is_over:
            return self._end(request, progress)
        context = {"progress": progress, "next": self._address(request, progress), "list": self._list(progress)}
        return self._page(request, "admin/deleting.html", f"Deleting {self.opts.verbose_name_plural}", context)

    def _slice(self, request: HttpRequest, progress: Progress, seconds: float) -> tuple[Progress, bool]:
        """Delete for `seconds`, and return whether no row is left."""
        ends_at = time.monotonic() + seconds
        request.GET = QueryDict(progress.filters)
        # The newest first: newer rows may reference older ones, as an index does its manifests.
        rows = self.get_changelist_instance(request).get_queryset(request).order_by("-pk")
        while batch := list(rows.filter(pk__lt=progress.before)[:BATCH]):
            progress = progress.after(batch, self.delete_rows(request, batch))
            if time.monotonic() > ends_at:
                return progress, False
        return progress, True

    def _end(self, request: HttpRequest, progress: Progress) -> HttpResponse:
        tell_deleted(self, request, progress.deleted)
        for reason in progress.reasons:
            self.message_user(request, reason, messages.ERROR)
        if more := progress.refused - len(progress.reasons):
            self.message_user(request, f"{more} more were not deleted, for similar reasons.", messages.ERROR)
        return HttpResponseRedirect(self._list(progress))

    def _confirmation(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        rows, total = list(queryset.order_by("-pk")[:LISTED]), queryset.count()
        if not rows:
            self.message_user(request, "None of the selected rows exists any more.", messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        progress = Progress(request.GET.urlencode(), rows[0].pk + 1, total)
        context = {
            "names": [self.describe(row) for row in rows],
            "total": total,
            "more": total - len(rows),
            "confirmed": self._signer(request, _CONFIRMED).sign_object(asdict(progress), compress=True),
        }
        return self._page(request, "admin/delete_many.html", "Delete multiple objects", context)

    def _page(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "media": self.media}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, shared | context)

    def _why_not(self, request: HttpRequest, rows: list[Any]) -> str:
        """Return why Django would refuse to delete `rows` with their dependents, "" if it would not."""
        _, _, lacking, protected = self.get_deleted_objects(rows, request)
        if lacking:
            return f"your account may not delete this {' or '.join(sorted(map(str, lacking)))}"
        return f"{', '.join(map(str, protected))} needs it" if protected else ""

    def _list(self, progress: Progress | None = None) -> str:
        address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return f"{address}?{progress.filters}" if progress and progress.filters else address

    def _address(self, request: HttpRequest, progress: Progress) -> str:
        state = self._signer(request, _CONTINUED).sign_object(asdict(progress), compress=True)
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_deleting", args=[state])

    def _signer(self, request: HttpRequest, purpose: str) -> signing.TimestampSigner:
        """Return the signer for the state of one account's deletion from this list."""
        return signing.TimestampSigner(salt=f"{purpose} {self.opts.label} {request.user.pk}")

    def _expired(self, request: HttpRequest) -> HttpResponse:
        expired = "This confirmation has expired. Select the remaining rows again."
        self.message_user(request, expired, messages.WARNING)
        return HttpResponseRedirect(self._list())


def _delete_selected(admin: BulkDeletionAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
    """Delete selected rows at once, and all rows of a long list in slices."""
    is_across = request.POST.get("select_across") == "1"
    if is_across and ("confirmed" in request.POST or queryset[LISTED : LISTED + 1]):
        return admin.delete_many(request, queryset)
    return admin.delete_few(request, queryset)


def tell_deleted(admin: ModelAdmin, request: HttpRequest, count: int) -> None:
    """Show the number of deleted rows, if any."""
    if count:
        admin.message_user(request, f"Deleted {count} {model_ngettext(admin.opts, count)}.", messages.SUCCESS)
