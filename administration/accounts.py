"""Accounts in the admin; `accounts.governing` tells who may change which. Only a superuser changes POWERS."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import ManyToManyField, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.forms import AdminPasswordChangeForm

from accounts import second_factor
from accounts.governing import may_govern
from accounts.login.forms import AccountChangeForm, AccountCreationForm
from accounts.login_log import log_event
from accounts.models import Account
from acl.models import SubjectKind
from administration import naming, permissions
from administration.origin import OriginAdmin, OriginFilter
from audit.kinds import Kind
from core.admin.times import moment
from provisioning.models import Section
from tokens.models import AccessToken

POWERS = ("is_staff", "is_superuser", "user_permissions")


class SecondFactorFilter(admin.SimpleListFilter):
    title = "second factor"
    parameter_name = "second_factor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("with", "With"), ("without", "Without")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> QuerySet[Account]:
        if self.value() not in ("with", "without"):
            return queryset
        return queryset.filter(second_factor__isnull=self.value() == "without")


@admin.register(Account)
class AccountAdmin(UserAdmin, OriginAdmin):  # type: ignore[misc, type-arg]  # unfold's types differ from Django's
    """Accounts; a change applies to the next request in every process."""

    section = Section.USERS
    form = AccountChangeForm
    add_form = AccountCreationForm
    # Django's says that more options follow, of a user.
    add_form_template = "admin/change_form.html"
    change_password_form = AdminPasswordChangeForm
    list_display = (
        "name",
        "is_active",
        "is_staff",
        "is_superuser",
        "robot_of",
        "has_second_factor",
        "group_names",
        "origin",
        "last_login",
    )
    list_filter = (
        "is_active",
        "is_staff",
        "is_superuser",
        "is_robot",
        SecondFactorFilter,
        OriginFilter,
        "provider",
        "groups",
    )
    actions = ("restore", "remove_second_factor")
    search_fields = ("name",)
    ordering = ("name",)
    readonly_fields = (
        "tokens",
        "second_factor_state",
        "origin",
        "login_by",
        "missing_since",
        "last_login",
        "created_at",
    )
    # Checkboxes instead, which need no script and no modifier key.
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("name", "password", "is_active", "groups")}),
        (
            "This admin",
            {
                "fields": (*POWERS, "second_factor_state"),
                "description": "What the account may do here. Pulling and pushing are allowed by access rules alone.",
            },
        ),
        ("History", {"fields": ("origin", "login_by", "missing_since", "last_login", "created_at")}),
    )
    add_fieldsets: Any = ((None, {"fields": ("name", "owner", "has_no_password", "password1", "password2", "groups")}),)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out what a robot has not."""
        if obj is None or not obj.is_robot:
            return super().get_fieldsets(request, obj)
        fields = ("name", "owner", "is_active", "groups", "tokens")
        return ((None, {"fields": fields}), ("History", {"fields": ("origin", "created_at")}))

    @admin.display(description="access tokens")
    def tokens(self, robot: Account) -> SafeString:
        url = reverse("admin:tokens_accesstoken_changelist")
        return format_html('<a class="text-link" href="{}?q={}">its access tokens</a>', url, robot.name)

    @admin.display(description="robot of")
    def robot_of(self, account: Account) -> str:
        return str(account.owner or "nobody") if account.is_robot else ""

    @admin.display(description="groups")
    def group_names(self, account: Account) -> str:
        return ", ".join(sorted(group.name for group in account.groups.all()))

    @admin.display(description="second factor", boolean=True)
    def has_second_factor(self, account: Account) -> bool:
        return second_factor.factor_of(account) is not None

    @admin.display(description="login by")
    def login_by(self, account: Account) -> str:
        return account.provider or "password"

    @admin.display(description="second factor")
    def second_factor_state(self, account: Account) -> str:
        factor = second_factor.factor_of(account)
        return format_html("set up on {}", moment(factor.created_at)) if factor else "none"

    @admin.action(description="Remove the second factor of selected accounts", permissions=["remove_second_factor"])
    def remove_second_factor(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        """Remove the second factors of accounts that have lost the device, after a confirmation."""
        actor: Any = request.user
        if accounts.filter(pk=actor.pk).exists():
            # Its own page asks for a code: an open session is not enough.
            self.message_user(request, "Your own second factor is removed on its page, with a code.", messages.WARNING)
            accounts = accounts.exclude(pk=actor.pk)
        having = accounts.filter(second_factor__isnull=False)
        if "post" not in request.POST and having:
            shown = {"accounts": having, "is_required": settings.REGISTRY.admin.require_second_factor}
            return self._page(request, "admin/remove_second_factor.html", "Remove second factors", shown)
        removed = [account for account in having if second_factor.remove(account)]
        for account in removed:
            # Not this list's own, which would record it once more.
            super().log_change(request, account, "Removed the second factor.")
            log_event(request, account.name, "second factor removed", Kind.SECOND_FACTOR)
        if removed:
            whose = str(removed[0]) if len(removed) == 1 else f"{len(removed)} accounts"
            self.message_user(request, f"Removed the second factor of {whose}.", messages.SUCCESS)
        else:
            self.message_user(request, "None of the selected accounts has a second factor.", messages.WARNING)
        return None

    def has_remove_second_factor_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        return super().get_queryset(request).select_related("second_factor", "owner").prefetch_related("groups")

    def has_restore_permission(self, request: HttpRequest) -> bool:
        # It may set passwords and permissions.
        return bool(request.user.is_superuser)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Add the rules that name these accounts."""
        named, counts, lacking, protected = super().get_deleted_objects(objs, request)
        may_view = request.user.has_perm("acl.view_rule")
        rules = naming.orphaned(SubjectKind.ACCOUNT, [account.name for account in objs], may_view=may_view)
        # Access tokens end with their account, whoever may delete them alone.
        return [*named, *rules], counts, lacking - {AccessToken._meta.verbose_name}, protected  # noqa: SLF001

    def has_change_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        return super().has_change_permission(request, obj) and may_govern(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        # Deleting one's own account would lock oneself out.
        return super().has_delete_permission(request, obj) and may_govern(request.user, obj) and obj != request.user

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:
            return (*fields, *POWERS)
        # A superuser can't lock itself out.
        return (*fields, "is_active", "is_staff", "is_superuser") if obj == request.user else fields

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any]:
        """Offer groups that hold permissions to superusers only."""
        if db_field.name == "user_permissions":
            kwargs |= {"help_text": "Beyond those of its groups."} | permissions.field_options()
        if db_field.name == "groups":
            kwargs["help_text"] = "Access rules may name a group in place of its members."
        if db_field.name == "groups" and not request.user.is_superuser:
            kwargs["queryset"] = Group.objects.filter(permissions__isnull=True)
        return super().formfield_for_manytomany(db_field, request, **kwargs)
