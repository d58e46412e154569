"""Groups in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Model, QuerySet
from django.forms import Form
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.governing import may_govern_group
from accounts.models import Account
from acl.models import SubjectKind
from administration import naming, permissions
from core.admin.bulk_deletion import BulkDeletionAdmin
from core.sizes import counted

LISTED = 100
_LINK = '<a class="text-link" href="{}">{}</a>'

admin.site.unregister(Group)
# Django's template name would resolve to the theme's template.
admin.site.logout_template = "admin/logged_out.html"


@admin.register(Group)
class AccountGroupAdmin(GroupAdmin, BulkDeletionAdmin):  # type: ignore[misc]  # as above
    """Groups, which access rules name and which may hold permissions for this admin."""

    list_display = ("name", "member_count", "rule_count", "permission_count")
    search_fields = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "members", "rules")}),
        (
            "This admin",
            {
                "fields": ("permissions",),
                "description": "What members may do here. Pulling and pushing are allowed by access rules alone.",
            },
        ),
    )
    readonly_fields = ("members", "rules", "member_count", "rule_count")
    filter_horizontal = ()

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        """Offer permissions in words."""
        return super().formfield_for_manytomany(db_field, request, **kwargs | permissions.field_options())

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        counts: dict[str, Any] = {
            "member_total": Count("user", distinct=True),
            "permission_total": Count("permissions", distinct=True),
            "rule_total": naming.rule_count(SubjectKind.GROUP),
        }
        return super().get_queryset(request).annotate(**counts)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the numbers of members and rules to an account that may not view them."""
        counts = {"accounts.view_account": ("members", "member_count"), "acl.view_rule": ("rules", "rule_count")}
        shown = {
            names: count
            for right, (names, count) in counts.items()
            if obj is not None and not request.user.has_perm(right)
        }
        return [
            (title, {**options, "fields": tuple(shown.get(field, field) for field in options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    @admin.display(description="members")
    def member_count(self, group: Any) -> int:
        return int(group.member_total)

    @admin.display(description="rules that name it")
    def rule_count(self, group: Any) -> int:
        return int(group.rule_total)

    @admin.display(description="members")
    def members(self, group: Any) -> SafeString | str:
        """Link to the members, at most LISTED of them."""
        if group.pk is None:
            return "Members are added on the pages of accounts."
        accounts = list(Account.objects.filter(groups=group).order_by("name")[: LISTED + 1])
        links = [
            (reverse("admin:accounts_account_change", args=[account.pk]), account) for account in accounts[:LISTED]
        ]
        shown = format_html_join(", ", _LINK, links) if links else "none"
        if len(accounts) <= LISTED:
            return shown
        more = f"{reverse('admin:accounts_account_changelist')}?groups__id__exact={group.pk}"
        return format_html("{}, … {}", shown, format_html(_LINK, more, "all members"))

    @admin.display(description="rules that name it")
    def rules(self, group: Any) -> SafeString | str:
        """Link to the rules, as sentences."""
        found = naming.rules_naming(SubjectKind.GROUP, group.name) if group.pk is not None else []
        links = [(reverse("admin:acl_rule_change", args=[rule.pk]), rule) for rule in found[:LISTED]]
        return format_html_join(SafeString("<br>"), _LINK, links) if links else "none"

    @admin.display(description="admin permissions")
    def permission_count(self, group: Any) -> int:
        return int(group.permission_total)

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Save the group, and warn of rules that name it as it was called."""
        before = form.initial.get("name", "")
        super().save_model(request, obj, form, change)
        if "name" in form.changed_data and (left := naming.rules_naming(SubjectKind.GROUP, before)):
            told = f"{counted(len(left), 'rule')} still for the group {before}, which is gone"
            first = f": {left[0]}{', …' if len(left) > 1 else ''}" if request.user.has_perm("acl.view_rule") else ""
            messages.warning(request, f"{told}{first}.")

    def describe(self, row: Group) -> str:
        rules = len(naming.rules_naming(SubjectKind.GROUP, row.name))
        return f"{row.name}, which {counted(rules, 'rule')} named" if rules else row.name

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Add the robots that these groups own, and the rules that name them."""
        _, _, lacking, protected = super().get_deleted_objects(objs, request)
        named = [f"{group}, with {counted(group.user_set.count(), 'member')}" for group in objs]
        may_view = request.user.has_perm("acl.view_rule")
        orphaned = naming.orphaned(SubjectKind.GROUP, [group.name for group in objs], may_view=may_view)
        robots = [
            f"the robot {robot}, which can't log in without an owner"
            for robot in Account.objects.filter(owner__in=objs).order_by("name")[:LISTED]
        ]
        return [*named, *robots, *orphaned], {"groups": len(objs)}, lacking, protected

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and may_govern_group(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and may_govern_group(request.user, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, "permissions")
