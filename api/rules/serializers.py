"""The JSON of access rules."""

from typing import Any

from rest_framework import serializers

from acl import actions as action_list
from acl.models import Rule, SubjectKind
from acl.networks import MAX_NETWORKS
from acl.rules import sentence
from acl.until import until_text
from api.json_body import TextField
from api.paging import NumberedQuery


class RulesQuery(NumberedQuery):
    subject_kind = serializers.ChoiceField(SubjectKind.choices, default=None, allow_null=True)
    subject = TextField(
        max_length=255, default=None, allow_null=True, allow_blank=True, help_text="Exactly this account or group."
    )
    contains = TextField(
        max_length=255, default="", allow_blank=True, help_text="A part of the pattern of repositories."
    )


class ActionsField(serializers.ListField):
    """Actions, which a rule stores joined by commas."""

    def to_representation(self, data: Any) -> list[str]:
        return str(data).split(",")


class NetworksField(serializers.ListField):
    """Networks, which a rule stores joined by commas."""

    def to_representation(self, data: Any) -> list[str]:
        return str(data).split(",") if data else []


class UntilField(TextField):
    """When a rule ends, as the configuration file has it."""

    def to_representation(self, value: Any) -> str:
        return until_text(value)


class RuleSerializer(serializers.Serializer[Rule]):
    """An access rule: a subject may do actions on the repositories that a pattern matches."""

    id = serializers.IntegerField(read_only=True)
    subject_kind = serializers.ChoiceField(SubjectKind.choices)
    subject = TextField(
        max_length=255,
        required=False,
        allow_blank=True,
        default="",
        help_text="The name of an account or a pattern, or the name of a group; empty for everybody.",
    )
    name = TextField(max_length=255, help_text="A repository, or a pattern as `team/*`.")
    actions = ActionsField(child=serializers.ChoiceField(action_list.ALL), allow_empty=False, max_length=10)
    is_deny = serializers.BooleanField(
        required=False, default=False, help_text="Denies the actions, whatever other rules allow."
    )
    tags = TextField(
        max_length=255,
        required=False,
        allow_blank=True,
        default="",
        help_text="A tag or a pattern as `v*`, for push and delete; empty: all.",
    )
    networks = NetworksField(
        child=TextField(max_length=50), required=False, default=list, max_length=MAX_NETWORKS, help_text="Empty: all."
    )
    until = UntilField(
        max_length=50,
        required=False,
        allow_null=True,
        default=None,
        help_text="The last day as `2026-12-31`, or a time as `2026-12-31T18:00Z`; null: for good.",
    )
    order = serializers.IntegerField(
        min_value=1,
        max_value=action_list.MAX_ORDER,
        required=False,
        allow_null=True,
        default=None,
        help_text="Of the rules with a number, the first that match count alone; null: beside all others.",
    )
    comment = TextField(max_length=255, required=False, allow_blank=True, default="")
    sentence = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(read_only=True)

    def get_sentence(self, rule: Rule) -> str:
        return sentence(rule)
