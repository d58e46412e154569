"""Permissions for this admin, in words and without those that no page of it asks for."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.text import capfirst
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts.models import Account

VERBS = ("view", "add", "change", "delete")


class PermissionsField(ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic in the stubs only
    """Checkboxes, which need no script and no modifier key."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def label_from_instance(self, obj: Permission) -> str:
        """Return `Accounts: view`."""
        model = obj.content_type.model_class()
        if model is None:
            return str(obj.name)
        heading = getattr(admin.site._registry.get(model), "heading", "") or model._meta.verbose_name_plural  # noqa: SLF001 - documented
        return f"{capfirst(str(heading))}: {obj.codename.partition('_')[0]}"


def offered() -> QuerySet[Permission]:
    """Return the permissions on what somebody who has all of them can do with the pages of the admin."""
    everything = HttpRequest()
    everything.user = Account(is_superuser=True)
    wanted = Q()
    for model, page in admin.site._registry.items():  # noqa: SLF001 - Django has no other way to ask
        may = page.get_model_perms(everything)
        options: Any = model._meta  # noqa: SLF001 - documented
        names = [f"{verb}_{options.model_name}" for verb in VERBS if may.get(verb)]
        wanted |= Q(content_type__app_label=options.app_label, codename__in=names)
    rows = Permission.objects.filter(wanted).select_related("content_type")
    return rows.order_by("content_type__app_label", "content_type__model", "codename")


def field_options() -> dict[str, Any]:
    """Return what `formfield_for_manytomany` passes for a field of permissions."""
    return {"form_class": PermissionsField, "queryset": offered(), "widget": UnfoldAdminCheckboxSelectMultipleWidget}
