"""The list of events in the admin, newest first: searched by indexes, paged by keys, exported as it is filtered."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from audit import export, queries
from audit.models import Event, first_key
from core.admin.declared_filters import DeclaredFiltersAdmin, DeclaredFiltersList
from core.api.notes import ANONYMOUS_NAME
from core.api.row_key import row_key
from core.db import clock

_BEFORE = "before"
_TWO_LINES = '<span class="two-lines"><span>{}</span><span>{}</span></span>'
_DIGEST = re.compile(r"sha(?:256|512):[0-9a-f]{7,}|[0-9a-f]{7,}")
_FORMATS: dict[str, tuple[Callable[[Iterable[Event]], Iterator[str]], str]] = {
    "csv": (export.csv_lines, "text/csv; charset=utf-8"),
    "jsonl": (export.json_lines, "application/jsonl; charset=utf-8"),
}


class DayFilter(admin.SimpleListFilter):
    """The events of one day (UTC); of any day by `?day=2026-11-30`."""

    title = "day"
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        today = clock.now().date()
        days = [today - timedelta(days=ago) for ago in range(7)]
        with suppress(ValueError):
            if (chosen := date.fromisoformat(self.value() or "")) not in days:
                days.append(chosen)
        return [(day.isoformat(), f"{day:%A, %Y-%m-%d}") for day in days]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        try:
            day = date.fromisoformat(self.value() or "")
            begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return queryset.filter(id__gte=first_key(begin), id__lt=first_key(begin + timedelta(days=1)))
        except (ValueError, OverflowError):
            return queryset


class _OnePage(Paginator):  # type: ignore[type-arg]  # generic in the stubs only
    """What the template of the theme looks at."""

    template_name = "audit/older.html"


class _EventList(DeclaredFiltersList):
    """A page of the rows older than `?before=`; nothing is counted."""

    before: int | None = None
    older: int | None = None
    """The key that the next page is `before`; None means that this is the last one."""

    def get_filters(self, request: HttpRequest) -> Any:
        # Links to other filters begin with the newest rows again.
        if _BEFORE in self.params:
            given = str(self.params.pop(_BEFORE))
            self.filter_params.pop(_BEFORE, None)
            self.before = row_key(given) or None
        return super().get_filters(request)

    def get_results(self, request: HttpRequest) -> None:
        rows = self.queryset if self.before is None else self.queryset.filter(id__lt=self.before)
        found = list(rows[: self.list_per_page + 1])
        self.result_list: Any = found[: self.list_per_page]
        self.older = self.result_list[-1].pk if len(found) > self.list_per_page else None
        self.result_count = len(self.result_list)
        self.full_result_count: Any = None
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator: Any = _OnePage(self.result_list, self.list_per_page)


@admin.register(Event)
class EventAdmin(DeclaredFiltersAdmin):
    """Events, which nobody changes."""

    heading = "Audit"
    empty_text = "No event has been recorded yet"
    list_display = ("at", "kind", "who", "about", "happened")
    list_filter = ("kind", DayFilter)
    linked_filters = ("account__exact", "repository__exact", "address__exact")
    # Not the columns that are searched, see below; without any there is no box.
    search_fields = ("account",)
    search_help_text = "a whole account, repository or address, or the beginning of a digest"
    list_per_page = 50
    sortable_by = ()
    ordering = ("-id",)
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions: Any = None
    list_before_template = "audit/export.html"  # type: ignore[assignment]  # the theme's own is None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return _EventList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search the one column that the term is of, so that its index has the rows in order."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if _DIGEST.fullmatch(term):
            term = term if ":" in term else f"sha256:{term}"
            return queryset.filter(digest__gte=term, digest__lt=f"{term}\x7f"), False
        with suppress(ValueError):
            return queryset.filter(address=str(ipaddress.ip_address(term))), False
        if term == ANONYMOUS_NAME:
            return queryset.filter(account="").exclude(credential="command"), False
        is_account = "/" not in term and Event.objects.filter(account=term).exists()
        return queryset.filter(**{"account" if is_account else "repository": term}), False

    @admin.display(description="account and address")
    def who(self, event: Event) -> SafeString:
        account: SafeString | str = _filter_link("account", event.account)
        if not event.account and event.credential != "command" and event.kind != "import":
            account = ANONYMOUS_NAME
        return format_html(_TWO_LINES, account, _filter_link("address", event.address))

    @admin.display(description="repository and reference")
    def about(self, event: Event) -> SafeString:
        what = event.reference if len(event.reference) < 40 else f"{event.reference[:19]}…"
        return format_html(_TWO_LINES, _filter_link("repository", event.repository), what)

    @admin.display(description="detail")
    def happened(self, event: Event) -> str:
        return f"{event.detail} ({event.count} times)" if event.count > 1 else event.detail

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export)
        return [path("export/<str:kind>/", view, name="audit_event_export"), *super().get_urls()]

    def export(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Stream the rows of the list with this query, as CSV or JSON lines."""
        if not self.has_view_permission(request) or kind not in _FORMATS:
            raise PermissionDenied
        rows: QuerySet[Event] = self.get_changelist_instance(request).get_queryset(request)
        lines, content_type = _FORMATS[kind]
        name = f"audit-{clock.now():%Y-%m-%d}.{kind}"
        headers = {"Content-Type": content_type, "Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(lines(queries.in_batches(rows, is_newest_first=True)), headers=headers)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _filter_link(name: str, value: str) -> SafeString | str:
    if not value:
        return ""
    parameters = {f"{name}__exact": value}
    return format_html('<a class="text-link" href="?{}">{}</a>', urlencode(parameters), value)
