"""The form for access rules, of the admin and of the management API."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from acl import actions as action_list
from acl.glob import ACCOUNT, GROUP
from acl.models import Rule, SubjectKind
from acl.networks import InvalidNetworkError, canonical, parse_networks
from acl.until import InvalidUntilError, parse_until, until_text

# The characters of names and of patterns: any other character matches nothing.
_NAME_PATTERN = re.compile(r"(?:[a-z0-9._/*?\[\]!-]|\*\(\[[^\]]+\]\))+")
_ACCOUNT_PATTERN = re.compile(r"(?:[A-Za-z0-9._@+$*?\[\]!-]|\*\(\[[^\]]+\]\))+")

_ACTIONS = (
    (action_list.PULL, "pull"),
    (action_list.PUSH, "push"),
    (action_list.DELETE, "delete"),
    (action_list.EVERY, "* (every action)"),
)

# What is entered about a rule, in the order of the form.
FIELDS = ("subject_kind", "subject", "is_deny", "actions", "name", "tags", "networks", "until", "order", "comment")


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


class UntilField(forms.CharField):
    """When a rule ends, as the configuration file has it."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return until_text(value) if isinstance(value, datetime) else value

    def clean(self, value: Any) -> Any:
        """Return the instant, None without one. Raises ValidationError."""
        text = super().clean(value)
        try:
            return parse_until(text) if text else None
        except InvalidUntilError as error:
            raise ValidationError(f"Not {text[:50]!a}, but {error}.") from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    actions = ActionsField(choices=_ACTIONS, help_text="What is allowed; delete is never part of push.")
    until = UntilField(
        required=False,
        max_length=50,
        help_text="A date as 2026-12-31, to the end of that day, or a time as 2026-12-31 18:00, in UTC; "
        "empty: for good.",
    )

    class Meta:
        model = Rule
        fields: ClassVar[tuple[str, ...]] = FIELDS

    def clean_name(self) -> str:
        """Refuse a pattern that no repository name can match."""
        name: str = self.cleaned_data["name"]
        if _NAME_PATTERN.fullmatch(name.replace(ACCOUNT, "*").replace(GROUP, "*")) is None:
            raise ValidationError(
                "Names of repositories have lower-case letters, digits and . _ - / only; "
                f"patterns add * ? [ ] ! *([ ]), {ACCOUNT} and {GROUP}"
            )
        return name

    def clean_networks(self) -> str:
        """Return the networks in their canonical form; commas and white space may separate them."""
        text = ",".join(self.cleaned_data["networks"].replace(",", " ").split())
        try:
            return canonical(parse_networks(text))
        except InvalidNetworkError as error:
            raise ValidationError(f"{error}.") from error

    def clean_subject(self) -> str:
        """Refuse a pattern that no account name can match; a group may have any name."""
        subject: str = self.cleaned_data["subject"]
        is_account = self.cleaned_data.get("subject_kind") == SubjectKind.ACCOUNT
        if is_account and subject and _ACCOUNT_PATTERN.fullmatch(subject) is None:
            raise ValidationError(
                "Names of accounts have letters, digits and . _ @ + $ - only; patterns add * ? [ ] ! *([ ])"
            )
        return subject
