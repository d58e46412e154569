"""The JSON of accounts and groups."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from accounts import second_factor
from accounts.models import Account, validate_account_name
from api.json_body import TextField
from api.paging import NumberedQuery, PageQuery

POWERS = ("is_staff", "is_superuser")
MAX_GROUPS = 100


class AccountsQuery(PageQuery):
    contains = TextField(max_length=128, default="", allow_blank=True, help_text="A part of a name.")
    group = TextField(max_length=150, default="", allow_blank=True, help_text="The name of a group.")
    is_active = serializers.BooleanField(allow_null=True, default=None)


class GroupNamesField(serializers.ListField):
    """Names of groups, sorted."""

    def to_representation(self, data: Any) -> list[str]:
        return sorted(group.name for group in data.all())


class OwnerField(TextField):
    """The name of a group."""

    def to_representation(self, data: Any) -> str:
        return str(data.name)


class AccountSerializer(serializers.Serializer[Account]):
    """An account; a password is never read back."""

    name = TextField(max_length=128, validators=[validate_account_name], help_text="It stays.")
    password = TextField(
        write_only=True,
        required=False,
        allow_null=True,
        trim_whitespace=False,
        max_length=255,
        help_text="At most 72 bytes; null: the account can't log in.",
    )
    is_active = serializers.BooleanField(required=False, default=True)
    is_staff = serializers.BooleanField(required=False, default=False, help_text="Set by superusers only.")
    is_superuser = serializers.BooleanField(required=False, default=False, help_text="Set by superusers only.")
    groups = GroupNamesField(child=TextField(max_length=150), required=False, max_length=MAX_GROUPS)
    is_robot = serializers.BooleanField(read_only=True, help_text="An account with an owner: it has no password.")
    owner = OwnerField(
        required=False,
        allow_null=True,
        max_length=150,
        help_text="The group whose members manage the tokens of the robot. Given to a new account, it makes a robot.",
    )
    has_second_factor = serializers.SerializerMethodField()
    provider = TextField(
        read_only=True, help_text="What checks its logins: ldap, oidc or a backend; empty: a password."
    )
    created_at = serializers.DateTimeField(read_only=True)
    last_login = serializers.DateTimeField(read_only=True, allow_null=True)

    def get_has_second_factor(self, account: Account) -> bool:
        return second_factor.factor_of(account) is not None

    def validate_name(self, name: str) -> str:
        """Refuse a name that differs from another one in case only, and the change of a name."""
        if self.instance is not None:
            if name != self.instance.name:
                raise serializers.ValidationError("The name of an account can't be changed.")
        elif Account.objects.filter(name__iexact=name).exists():
            raise serializers.ValidationError("There is an account of this name, upper and lower case aside.")
        return name

    def validate_password(self, password: str | None) -> str | None:
        """Apply the configured validators, of which one refuses what bcrypt would cut off."""
        if self.instance is not None and self.instance.provider:
            raise serializers.ValidationError(f"The account has no password here: it is of {self.instance.provider}.")
        if password is not None:
            try:
                validate_password(password)
            except DjangoValidationError as error:
                raise serializers.ValidationError(error.messages) from error
        return password

    def validate_groups(self, names: list[str]) -> list[Group]:
        """Return the groups. Only a superuser gives the permissions that a group has."""
        found = {group.name: group for group in Group.objects.filter(name__in=names)}
        if missing := sorted(set(names) - found.keys()):
            raise serializers.ValidationError([f"There is no group {name!a}." for name in missing])
        if not self.context["request"].user.is_superuser:
            powerful = Group.objects.filter(name__in=names, permissions__isnull=False).distinct()
            if given := sorted(powerful.values_list("name", flat=True)):
                raise serializers.ValidationError([f"Only a superuser may use the group {name!a}." for name in given])
        return list(found.values())

    def validate_owner(self, name: str | None) -> Group | None:
        """Return the group. A robot keeps an owner, and no other account has one."""
        is_robot = self.instance is None or self.instance.is_robot
        if name is None:
            if self.instance is not None and is_robot:
                raise serializers.ValidationError("A robot without an owner could not log in: deactivate it instead.")
            return None
        if not is_robot:
            raise serializers.ValidationError("This account is no robot, and becomes none.")
        group = Group.objects.filter(name=name).first()
        if group is None:
            raise serializers.ValidationError(f"There is no group {name!a}.")
        return group

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Let only superusers give powers, and nobody change its own; a robot has neither powers nor a password."""
        if self.instance.is_robot if self.instance is not None else attrs.get("owner") is not None:
            given = [name for name in ("password", *POWERS) if attrs.get(name)]
            if given:
                raise serializers.ValidationError(dict.fromkeys(given, "A robot has no password and no powers."))
        actor, account = self.context["request"].user, self.instance
        is_own = account is not None and account.pk == actor.pk
        fields = (*POWERS, "is_active") if is_own else POWERS
        changed = [name for name in fields if name in attrs and attrs[name] != self._now(name)]
        if changed and is_own:
            raise serializers.ValidationError(dict.fromkeys(changed, "Nobody changes this of its own account."))
        if changed and not actor.is_superuser:
            raise serializers.ValidationError(dict.fromkeys(changed, "Only a superuser may set this."))
        return attrs

    def _now(self, name: str) -> bool:
        return bool(getattr(self.instance or Account(), name))

    def create(self, validated_data: dict[str, Any]) -> Account:
        return self._saved(Account(), validated_data | {"password": validated_data.get("password")})

    def update(self, instance: Account, validated_data: dict[str, Any]) -> Account:
        return self._saved(instance, validated_data)

    def _saved(self, account: Account, values: dict[str, Any]) -> Account:
        for name in ("name", "is_active", *POWERS):
            if name in values:
                setattr(account, name, values[name])
        if values.get("owner") is not None:
            account.owner, account.is_robot = values["owner"], True
        # Another unusable password would end the tokens of a robot.
        if "password" in values and not (account.pk and account.is_robot):
            account.set_password(values["password"])
        account.save()
        if "groups" in values:
            account.groups.set(values["groups"])
        return account


class GroupsQuery(NumberedQuery):
    contains = TextField(max_length=150, default="", allow_blank=True, help_text="A part of a name.")


class PermissionsField(serializers.ListField):
    """Permissions of Django, as `acl.add_rule`."""

    def to_representation(self, data: Any) -> list[str]:
        permissions: Iterable[Any] = data.all()
        return sorted(f"{each.content_type.app_label}.{each.codename}" for each in permissions)


class GroupSerializer(serializers.Serializer[Group]):
    """A group, which access rules name."""

    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=150)
    members = serializers.IntegerField(read_only=True)
    robots = serializers.IntegerField(
        source="robot_count", read_only=True, help_text="Which it owns: without it, they can't log in."
    )
    permissions = PermissionsField(
        child=TextField(), read_only=True, help_text="For administration; given in the admin."
    )

    def validate_name(self, name: str) -> str:
        if (self.instance is None or self.instance.name != name) and Group.objects.filter(name=name).exists():
            raise serializers.ValidationError("There is a group of this name.")
        return name
