"""Access rules."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models

from acl import actions as action_list
from acl.glob import ACCOUNT, InvalidPatternError, check_glob
from acl.rules import sentence


def validate_pattern(pattern: str) -> None:
    try:
        check_glob(pattern)
    except InvalidPatternError as error:
        raise ValidationError(str(error)) from error


def validate_actions(text: str) -> None:
    """Raise ValidationError unless `text` is actions in their canonical order, joined by commas."""
    if action_list.canonical(text.split(",")) != text:
        raise ValidationError(f"Actions are {', '.join(action_list.ALL)}, joined by commas.")


class SubjectKind(models.TextChoices):
    """The kind of a rule's subject."""

    ACCOUNT = "account", "account"
    GROUP = "group", "group"
    ANONYMOUS = "anonymous", "everybody, signed in or not"


class Rule(models.Model):
    """Allow a subject actions on repositories by name pattern; everything else is denied.

    There is no foreign key to repositories: rules exist before the first push.
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
        help_text="A name or a glob: * matches any run of characters, / included; ? one; [abc] one of these; "
        "${account} is the name of the account that asks.",
    )
    actions = models.CharField(max_length=64, validators=[validate_actions], default="pull")
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
        if self.subject_kind == SubjectKind.ANONYMOUS and ACCOUNT in self.name:
            raise ValidationError({"name": f"{ACCOUNT} needs an account; this rule is for everybody."})
        if self.subject_kind == SubjectKind.ACCOUNT:
            # A group's name is not a pattern and may have any character.
            try:
                validate_pattern(self.subject)
            except ValidationError as error:
                raise ValidationError({"subject": error.messages}) from error
