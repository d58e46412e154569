"""The JSON of access rules."""

from typing import Any

from rest_framework import serializers

from acl import actions as action_list
from acl.models import Rule, SubjectKind
from acl.rules import sentence
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
    comment = TextField(max_length=255, required=False, allow_blank=True, default="")
    sentence = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(read_only=True)

    def get_sentence(self, rule: Rule) -> str:
        return sentence(rule)
