"""The ledger of the import, the files that were imported, and the row that `/health` writes."""

from typing import ClassVar

from django.db import models


class Section(models.TextChoices):
    """The imported sections of the configuration file."""

    USERS = "users", "users"
    ACL = "acl", "acl"
    IMMUTABLE_TAGS = "immutable_tags", "policies.immutable_tags"
    QUOTAS = "quotas", "policies.quotas"
    RETENTION = "retention", "policies.retention"
    SIGNATURES = "signatures", "policies.signatures"
    READ_ONLY = "read_only", "policies.read_only"
    PROXIES = "proxies", "proxies"


class ImportedEntry(models.Model):
    """An entry of the configuration file at its last import.

    It has no foreign key to its account or rule: after an administrator has deleted that row, the record remains and
    prevents another import of the entry.
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


class ImportedFile(models.Model):
    """The last import of each configuration file with users or rules; the highest primary key is the newest import."""

    MAX_PLACE: ClassVar = 512

    place = models.CharField(max_length=MAX_PLACE, unique=True, help_text="host:path")
    fingerprint = models.CharField(max_length=64, help_text="Of users and rules.")
    imported_at = models.DateTimeField()


class Probe(models.Model):
    """One row, written to test whether the database is writable (`registry_project.probes`)."""

    tried_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(pk=1), name="registry_project_one_probe")
        ]
