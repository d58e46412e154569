"""Access rules."""

import re
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from acl import actions as action_list
from acl.actions import MAX_ORDER, wrong_order
from acl.glob import ACCOUNT, GROUP, InvalidPatternError, check_glob
from acl.networks import InvalidNetworkError, canonical, parse_networks
from acl.rules import sentence

# The characters of tags and of patterns: any other character matches nothing.
TAG_PATTERN = re.compile(r"[A-Za-z0-9._*?\[\]!-]+")


def validate_pattern(pattern: str) -> None:
    try:
        check_glob(pattern)
    except InvalidPatternError as error:
        raise ValidationError(str(error)) from error


def validate_actions(text: str) -> None:
    """Raise ValidationError unless `text` is actions in their canonical order, joined by commas."""
    if action_list.canonical(text.split(",")) != text:
        raise ValidationError(f"Actions are {', '.join(action_list.ALL)}, joined by commas.")


def validate_tags(pattern: str) -> None:
    """Raise ValidationError unless `pattern` is one of tags; it is the same for everybody."""
    validate_pattern(pattern)
    if TAG_PATTERN.fullmatch(pattern) is None:
        raise ValidationError("Tags have letters, digits and . _ - only; patterns add * ? [ ] ! and no ${account}.")


def validate_networks(text: str) -> None:
    """Raise ValidationError unless `text` is networks in their canonical form, joined by commas."""
    try:
        networks = canonical(parse_networks(text))
    except InvalidNetworkError as error:
        raise ValidationError(f"{error}.") from error
    if networks != text:
        raise ValidationError(f"Networks are in order and joined by commas: {networks}.")


class SubjectKind(models.TextChoices):
    """The kind of a rule's subject."""

    ACCOUNT = "account", "account"
    GROUP = "group", "group"
    ANONYMOUS = "anonymous", "everybody, signed in or not"


class Rule(models.Model):
    """Allow a subject actions on repositories by name pattern; everything else is denied.

    With `is_deny`, deny them whatever other rules allow. Of the rules with an `order`, the first that match count
    alone. There is no foreign key to repositories: rules exist before the first push.
    """

    subject_kind = models.CharField("for", max_length=16, choices=SubjectKind.choices, default=SubjectKind.ACCOUNT)
    subject = models.CharField(
        max_length=255,
        blank=True,
        help_text="An account's name or a glob (* is everyone signed in), or a group's name; empty for everybody.",
    )
    name = models.CharField(
        "repositories",
        max_length=255,
        validators=[validate_pattern],
        help_text="A name or a glob: * matches any run of characters, / included; *([!/]) one without /; ? one; "
        "[abc] one of these; "
        "${account} is the name of the account that asks, ${group} each of its groups.",
    )
    actions = models.CharField(max_length=64, validators=[validate_actions], default="pull")
    is_deny = models.BooleanField(
        "deny",
        default=False,
        db_default=False,
        help_text="Denies the actions, whatever other rules allow.",
    )
    tags = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        validators=[validate_tags],
        help_text="A tag or a glob as v*: the rule is about pushes and deletions of these only; empty: of all. "
        "A pull is never limited by tags.",
    )
    networks = models.CharField(
        max_length=1000,
        blank=True,
        default="",
        db_default="",
        validators=[validate_networks],
        help_text="Only clients with these addresses: networks as 10.0.0.0/8, joined by commas; empty: everywhere.",
    )
    until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="A date as 2026-12-31, to the end of that day, or a time as 2026-12-31 18:00, in UTC; "
        "empty: for good.",
    )
    order = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_ORDER)],
        help_text="Rules with a number are read in its order, and the first that match count alone: they allow their "
        "actions, with deny none, and those behind them nothing. Empty: the rule counts beside all others.",
    )
    comment = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["subject_kind", "subject", "name", "pk"]
        verbose_name = "access rule"

    def __str__(self) -> str:
        return sentence(self)

    def clean(self) -> None:
        """Raise ValidationError for a wrong combination of kind, subject and name."""
        if (self.subject_kind == SubjectKind.ANONYMOUS) == bool(self.subject):
            raise ValidationError({"subject": "An account or a group needs a subject, everybody has none."})
        for placeholder in (ACCOUNT, GROUP):
            if self.subject_kind == SubjectKind.ANONYMOUS and placeholder in self.name:
                raise ValidationError({"name": f"{placeholder} needs an account; this rule is for everybody."})
        if self.tags and (wrong := action_list.wrong_tags(self.actions.split(","), is_deny=self.is_deny)):
            raise ValidationError({"tags": f"{wrong}."})
        if self.order is not None and (wrong := wrong_order(self.actions.split(","), self.tags, is_deny=self.is_deny)):
            raise ValidationError({"order": f"{wrong}."})
        if self.subject_kind == SubjectKind.ACCOUNT:
            # A group's name is not a pattern and may have any character.
            try:
                validate_pattern(self.subject)
            except ValidationError as error:
                raise ValidationError({"subject": error.messages}) from error
