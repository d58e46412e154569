"""Policies in the admin: a list and a form for each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from administration.origin import OriginFilter
from administration.preview import Matches, repositories_of
from administration.previewed import PreviewedAdmin
from distribution.usage import quota_figures
from policies.durations import DurationField
from policies.forms import form_of
from policies.kinds import KINDS
from policies.models import Policy, Quota
from policies.models.quota import SizeField
from provisioning.models import Section


@dataclass(frozen=True, slots=True)
class Preview:
    """What a valid policy, saved or not, does now."""

    sentence: str
    repositories: Matches


class PolicyAdmin(PreviewedAdmin):
    """Policies of one kind; a change applies to the next request in every process."""

    model: type[Policy]
    list_display: tuple[str, ...] = ("sentence", "comment", "origin", "created_at")
    list_filter = (OriginFilter,)
    search_fields = ("repositories", "comment")
    search_help_text = "a repository or a comment"
    readonly_fields = ("origin", "created_at")
    # A field for numbers shows nothing for 10GiB, and a save would drop the limit.
    formfield_overrides: Any = {  # type: ignore[misc]  # stubs differ
        SizeField: {"widget": UnfoldAdminTextInputWidget},
        DurationField: {"widget": UnfoldAdminTextInputWidget},
    }
    preview_template = "admin/policies/preview.html"

    @property
    def section(self) -> Section:  # type: ignore[override]  # of the model
        return Section(self.model.kind)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.model.entered if obj is None else (*self.model.entered, "origin", "created_at")

    def form_of_preview(self) -> Any:
        return form_of(self.model)

    def preview_of(self, row: Policy) -> Preview:
        return Preview(str(row), repositories_of(row.repositories, row.holds_for))

    @admin.display(ordering="repositories", description="policy")
    def sentence(self, policy: Policy) -> str:
        return str(policy)


class QuotaAdmin(PolicyAdmin):
    """Quotas, with what is used now."""

    list_display = ("sentence", "used", "comment", "origin", "created_at")

    @admin.display(description="used now")
    def used(self, quota: Quota) -> str:
        figure = quota_figures.of_quota(quota)
        if figure is None:
            return "nothing was pushed since"
        return f"{figure.where}: {', '.join(figure.texts)} ({figure.percent})"


_ADMINS: dict[type[Policy], type[PolicyAdmin]] = {Quota: QuotaAdmin}
for _kind in KINDS:
    _base = _ADMINS.get(_kind, PolicyAdmin)
    admin.site.register(_kind, type(f"{_kind.__name__}Admin", (_base,), {"__module__": __name__}))
