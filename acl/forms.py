"""The form for access rules, of the admin and of the management API."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from acl import actions as action_list
from acl.glob import ACCOUNT
from acl.models import Rule, SubjectKind

# The characters of names and of patterns: any other character matches nothing.
_NAME_PATTERN = re.compile(r"[a-z0-9._/*?\[\]!-]+")
_ACCOUNT_PATTERN = re.compile(r"[A-Za-z0-9._@+$*?\[\]!-]+")

_ACTIONS = (
    (action_list.PULL, "pull"),
    (action_list.PUSH, "push"),
    (action_list.DELETE, "delete"),
    (action_list.EVERY, "* (every action)"),
)


class ActionsField(forms.MultipleChoiceField):
    """Actions as checkboxes; the value is the string that a rule stores."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def prepare_value(self, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    def clean(self, value: Any) -> str | None:
        """Return the actions in canonical order. Raises ValidationError without any."""
        return action_list.canonical(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    actions = ActionsField(choices=_ACTIONS, help_text="What is allowed; delete is never part of push.")

    class Meta:
        model = Rule
        fields: ClassVar[tuple[str, ...]] = ("subject_kind", "subject", "actions", "name", "comment")

    def clean_name(self) -> str:
        """Refuse a pattern that no repository name can match."""
        name: str = self.cleaned_data["name"]
        if _NAME_PATTERN.fullmatch(name.replace(ACCOUNT, "*")) is None:
            raise ValidationError(
                "Names of repositories have lower-case letters, digits and . _ - / only; "
                f"patterns add * ? [ ] ! and {ACCOUNT}"
            )
        return name

    def clean_subject(self) -> str:
        """Refuse a pattern that no account name can match; a group may have any name."""
        subject: str = self.cleaned_data["subject"]
        is_account = self.cleaned_data.get("subject_kind") == SubjectKind.ACCOUNT
        if is_account and subject and _ACCOUNT_PATTERN.fullmatch(subject) is None:
            raise ValidationError("Names of accounts have letters, digits and . _ @ + $ - only; patterns add * ? [ ] !")
        return subject
