"""The JSON of access tokens."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from accounts.models import Account
from api.json_body import TextField
from core.durations import InvalidDurationError, parse_duration
from tokens.access import store
from tokens.models import AccessToken


class ScopesField(serializers.ListField):
    """Scopes as `alice/*:pull,push`."""

    child = TextField(max_length=store.MAX_SCOPE_CHARACTERS)

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the scopes in their canonical form."""
        try:
            return [store.canonical_scope(scope) for scope in super().to_internal_value(data)]
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from error


class AccessTokenSerializer(serializers.Serializer[AccessToken]):
    """An access token, without its secret."""

    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=100, help_text="What it is for; once among the valid tokens of the account.")
    scopes = ScopesField(
        required=False,
        max_length=store.MAX_SCOPES,
        help_text="`GLOB:actions`, as `alice/*:pull,push`; empty: all that the account may.",
    )
    lifetime = TextField(
        write_only=True,
        required=False,
        max_length=100,
        help_text='As "2160h"; without one `auth.access_token_lifetime`.',
    )
    created_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True)
    used_at = serializers.DateTimeField(read_only=True, allow_null=True, help_text="To the hour; null: never.")
    used_from = serializers.CharField(read_only=True, help_text="The address of its last use.")

    def validate_lifetime(self, text: str) -> Any:
        try:
            return parse_duration(text)
        except InvalidDurationError as error:
            raise serializers.ValidationError(f"{error}") from error


class NewAccessTokenSerializer(AccessTokenSerializer):
    """A token that was just made."""

    token = serializers.CharField(read_only=True, help_text="The secret; this answer alone has it.")


class RobotTokenSerializer(AccessTokenSerializer):
    """An access token of a robot, with the account that has made it."""

    created_by = serializers.CharField(read_only=True, help_text="Empty: a command.")


class RobotSerializer(serializers.Serializer[Account]):
    """A robot of an own group."""

    name = serializers.CharField()
    owner = serializers.CharField(source="owner.name")
    groups = serializers.SerializerMethodField()
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()

    def get_groups(self, robot: Account) -> list[str]:
        return sorted(group.name for group in robot.groups.all())


class ClaimMappingSerializer(serializers.Serializer[Any]):
    when = serializers.DictField(child=serializers.CharField(), help_text="Patterns by claim; all of them match.")
    account = serializers.CharField(allow_null=True)
    group = serializers.CharField(allow_null=True, help_text="Of a workload without an account.")


class TrustedIssuerSerializer(serializers.Serializer[Any]):
    """An OIDC issuer of the configuration."""

    issuer = serializers.CharField()
    audience = serializers.CharField()
    algorithms = serializers.ListField(child=serializers.CharField())
    keys = serializers.CharField(help_text="Where they are from.")
    keys_fetched_at = serializers.DateTimeField(allow_null=True)
    mapping = ClaimMappingSerializer(many=True, help_text="The first that matches counts.")


class TrustedIssuersSerializer(serializers.Serializer[Any]):
    items = TrustedIssuerSerializer(many=True)
