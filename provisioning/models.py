"""What the import of the configuration file remembers, and the row by which `/health` tries to write."""

from typing import ClassVar

from django.db import models


class Section(models.TextChoices):
    """The sections of the configuration file that become rows."""

    USERS = "users", "users"
    ACL = "acl", "acl"


class ImportedEntry(models.Model):
    """One entry of the configuration file as it was when it was last applied.

    It is a row of its own beside the account or rule that it made, with no foreign key: what an
    administrator deletes stays deleted, since the entry is still known here.
    """

    section = models.CharField(max_length=16, choices=Section.choices)
    key = models.CharField(max_length=1024, help_text="What names the entry within its section.")
    fingerprint = models.CharField(
        max_length=64, blank=True, help_text="Of the entry; empty once it has left the file."
    )
    row_id = models.BigIntegerField()
    row_fingerprint = models.CharField(max_length=64, help_text="Of the row, as the import left it.")

    class Meta:
        verbose_name_plural = "imported entries"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["section", "key"], name="registry_project_entry_once")
        ]

    def __str__(self) -> str:
        return f"{self.section}: {self.key}"


class Probe(models.Model):
    """One row, written to see whether that is possible (`registry_project.probes`)."""

    tried_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(pk=1), name="registry_project_one_probe")
        ]

    def __str__(self) -> str:
        return self.tried_at.isoformat()
