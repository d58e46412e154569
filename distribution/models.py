"""The rows behind the registry.

    Repository ─< Link >─ Blob(key) ── one object of the storage
        │  │       ^
        │  │       └──< ManifestBlob >── Manifest ──< ManifestChild >── Manifest
        │  └──────────────────────────── Manifest, Tag ── Manifest
        └─< Upload ─< Segment(key) ───── one object of the storage each      Trash(key) ── one object to delete

Invariants: every stored object is named by one row (Blob, Segment, Upload.assembly_key or Trash), committed
before its first byte. A blob has a link after every commit. References are real foreign keys with PROTECT.

The requests of an upload append to one object, whose first `size` bytes count:

    segment    |<──────── size ────────>|<── being written, or left by an interrupted request ──
    upload     |<─ … ──── offset ──────>|   hash_state covers as much

A request that takes the upload over from a writer that may still be alive seals its segments: that writer can append
to the objects at any time, so no other request appends to them, and only their first `size` bytes are ever read.

`last_used_at` is when a client was last told that the row exists, or when the last reference to it ended.
`is_unreferenced` means that nothing refers to it: no tag, parent or subject to a manifest, no manifest to a link. The
verbs (`manifests`, `blobs`, …) maintain both, in the order of locks

    Repository → Upload → Tag → Manifest → Blob → Link

A verb that adds to a repository locks its row FOR KEY SHARE (`repositories.ensure`); one that hides or removes the row
locks it FOR UPDATE. So a row is removed only when it is empty, and nothing is added to a hidden repository: its name
begins with `!`, and `deletion` removes its contents.
"""

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import PROTECT, Q, QuerySet

# Byte order on SQLite, which has it built in, and on PostgreSQL, where migration 0001 creates it.
BYTE_ORDER = "BINARY"


def remove(rows: QuerySet[Any]) -> int:
    """Delete `rows` in one statement and return how many there were.

    `QuerySet.delete` first reads every row and the rows that refer to it; here foreign keys protect those in the
    database, and nothing cascades.
    """
    # None, not 0, when the condition can match nothing.
    return int(rows._raw_delete(rows.db) or 0)  # noqa: SLF001 - there is no public call that does just this


class Repository(models.Model):
    """A name with its manifests, tags and links."""

    name = models.CharField(max_length=255, unique=True, db_collation=BYTE_ORDER)
    is_listed = models.BooleanField(default=False, help_text="A manifest was put here once: the catalog shows it.")
    keeps_untagged = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Manifests without a tag stay here, whatever remove_untagged or --delete-untagged say.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # Columns are added with null: SQLite would rewrite the table for any other default.
    description = models.TextField(null=True, blank=True, help_text="Markdown, for the repository's page")  # noqa: DJ001
    pushed_at = models.DateTimeField("last push", null=True, blank=True, help_text="written with a delay")
    pulled_at = models.DateTimeField("last pull", null=True, blank=True, help_text="written with a delay")
    size = models.BigIntegerField(null=True, blank=True, help_text="bytes of its blobs; empty until they are summed")

    class Meta:
        verbose_name_plural = "repositories"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["name"], name="distribution_catalog", condition=Q(is_listed=True))
        ]

    def __str__(self) -> str:
        return self.name


class Blob(models.Model):
    """Content that is stored once, however many repositories link it."""

    digest = models.CharField(max_length=140, unique=True)
    size = models.BigIntegerField(help_text="bytes")
    key = models.CharField(max_length=80, unique=True)
    is_corrupt = models.BooleanField(default=False, help_text="Answers 404 until the next push heals it.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.digest


class Link(models.Model):
    """A blob in a repository: it is readable through the repositories that link it, and no other."""

    repository = models.ForeignKey(Repository, PROTECT, related_name="links")
    # Found by the constraint's index: one on the blob alone would be scanned through when many repositories link it.
    blob = models.ForeignKey(Blob, PROTECT, related_name="links", db_index=False)
    last_used_at = models.DateTimeField()
    is_unreferenced = models.BooleanField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["blob", "repository"], name="distribution_link_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["last_used_at", "id"], name="distribution_link_idle", condition=Q(is_unreferenced=True)
            )
        ]


class Manifest(models.Model):
    """A manifest or index, byte for byte, with the members that queries need in columns."""

    repository = models.ForeignKey(Repository, PROTECT, related_name="manifests")
    digest = models.CharField(max_length=140)
    media_type = models.CharField(max_length=127)
    payload = models.BinaryField()
    size = models.BigIntegerField(help_text="bytes")
    subject = models.CharField(max_length=140, null=True, blank=True)  # noqa: DJ001 - no subject is not an empty one
    artifact_type = models.CharField(max_length=255, blank=True)
    annotations = models.JSONField(default=dict)
    last_used_at = models.DateTimeField()
    is_unreferenced = models.BooleanField()
    created_at = models.DateTimeField(auto_now_add=True)
    pushed_by = models.CharField(max_length=128, null=True, blank=True, help_text="account; empty: unknown")  # noqa: DJ001
    pulled_at = models.DateTimeField("last pull", null=True, blank=True, help_text="written with a delay")
    missing = models.TextField(  # noqa: DJ001 - as above
        null=True,
        blank=True,
        help_text="of a proxy: the digests that it names and that were not pulled yet, separated by spaces",
    )

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["repository", "digest"], name="distribution_manifest_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["last_used_at", "id"], name="distribution_manifest_idle", condition=Q(is_unreferenced=True)
            ),
            models.Index(
                fields=["repository", "subject", "digest"],
                name="distribution_referrers",
                condition=Q(subject__isnull=False),
            ),
            models.Index(fields=["repository"], name="distribution_incomplete", condition=Q(missing__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.digest


class ManifestBlob(models.Model):
    """A manifest names a blob: config or layer."""

    manifest = models.ForeignKey(Manifest, PROTECT, related_name="blobs")
    link = models.ForeignKey(Link, PROTECT, related_name="uses")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["manifest", "link"], name="distribution_manifest_blob_once")
        ]


class ManifestChild(models.Model):
    """An index lists a manifest."""

    parent = models.ForeignKey(Manifest, PROTECT, related_name="children")
    child = models.ForeignKey(Manifest, PROTECT, related_name="parents")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["parent", "child"], name="distribution_manifest_child_once")
        ]


class Tag(models.Model):
    """A name for a manifest, which moves."""

    repository = models.ForeignKey(Repository, PROTECT, related_name="tags")
    name = models.CharField(max_length=128, db_collation=BYTE_ORDER)
    manifest = models.ForeignKey(Manifest, PROTECT, related_name="tags")
    updated_at = models.DateTimeField()
    pushed_by = models.CharField(max_length=128, null=True, blank=True, help_text="account; empty: unknown")  # noqa: DJ001
    pulled_at = models.DateTimeField("last pull", null=True, blank=True, help_text="written with a delay")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["repository", "name"], name="distribution_tag_once")
        ]

    def __str__(self) -> str:
        return self.name


class TagMove(models.Model):
    """A tag that was created, moved or deleted: a row of its history, written in the same transaction.

    Digests, not foreign keys: history keeps no manifest from collection. A name, not a repository: it outlives both.
    """

    repository = models.CharField(max_length=255, db_collation=BYTE_ORDER)
    tag = models.CharField(max_length=128, db_collation=BYTE_ORDER)
    old_digest = models.CharField("from", max_length=140, blank=True, help_text="empty: the tag is new")
    new_digest = models.CharField("to", max_length=140, blank=True, help_text="empty: the tag was deleted")
    account = models.CharField(max_length=128, blank=True, help_text="who did it; empty: anonymous")
    moved_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "tag move"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["repository", "tag", "id"], name="distribution_tag_history")
        ]

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


class DailyUse(models.Model):
    """The pulls and pushes of a repository on one day (UTC), added up in batches."""

    repository = models.CharField(max_length=255, db_collation=BYTE_ORDER)
    day = models.DateField()
    pulls = models.BigIntegerField(default=0, help_text="manifests sent to GET")
    pushes = models.BigIntegerField(default=0, help_text="manifests stored by PUT")

    class Meta:
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["repository", "day"], name="distribution_daily_use_once")
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["day"], name="distribution_daily_use_day")]

    def __str__(self) -> str:
        return f"{self.repository} on {self.day}"


class DailyStorage(models.Model):
    """The space that the registry took on one day (UTC), as it was seen last."""

    day = models.DateField(unique=True)
    stored_bytes = models.BigIntegerField(help_text="of all blobs, each once")
    blobs = models.BigIntegerField()
    linked_bytes = models.BigIntegerField(help_text="of the blobs of each repository, added up")
    free_bytes = models.BigIntegerField(null=True, help_text="of the disk of the storage; empty: it has none")
    seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.day)


class QuotaUse(models.Model):
    """What the repositories that a quota counts together have (`usage.quota_sets`)."""

    # No foreign key: a push that adds to it does not keep its quota from deletion. Neither database reuses a key.
    policy = models.BigIntegerField(help_text="of the quota's row")
    counted = models.CharField(max_length=255, db_collation=BYTE_ORDER, help_text="a name, a prefix with /; empty: all")
    definition = models.TextField(help_text="what the quota counted when they were added up")
    bytes = models.BigIntegerField(help_text="of blobs, each once")
    tags = models.BigIntegerField()
    due_at = models.DateTimeField(help_text="when they are added up again")

    class Meta:
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["policy", "counted"], name="distribution_quota_use_once")
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.counted}"


class Upload(models.Model):
    """A session in which one account uploads a blob to one repository."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    repository = models.ForeignKey(Repository, PROTECT, related_name="uploads")
    account = models.CharField(max_length=128, blank=True, help_text="empty: anonymous")
    # No foreign key: an upload does not keep its account from deletion. Neither database reuses a key.
    account_pk = models.BigIntegerField(default=0, db_default=0, help_text="of the account's row; 0: anonymous")
    network = models.CharField(
        max_length=45, blank=True, db_default="", help_text="of whom an anonymous client is counted with"
    )
    algorithm = models.CharField(max_length=16, default="sha256")
    offset = models.BigIntegerField(default=0, help_text="bytes that are durable")
    chunk_start = models.BigIntegerField(default=0, db_default=0, help_text="offset before the last chunk that counts")
    hash_state = models.BinaryField(null=True, help_text="of all bytes that count; empty: they have to be read again")
    assembly_key = models.CharField(max_length=80, null=True, blank=True, unique=True)
    lease = models.UUIDField(null=True, blank=True, help_text="who is writing")
    leased_until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    active_at = models.DateTimeField(db_index=True)

    first_key: str | None = None
    """The object that was named when the session was opened, unless a request had claimed the session when it was read.

    No column: `sessions` sets it.
    """

    bound: Any = None
    """How large the upload may get by the quotas, `usage.quotas.Bound`. No column: `sessions` sets it."""

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account_pk", "network"], name="distribution_upload_open")
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Segment(models.Model):
    """A run of an upload's bytes in one object: of all its requests, or of one where nothing can be appended."""

    upload = models.ForeignKey(Upload, PROTECT, related_name="segments")
    key = models.CharField(max_length=80, unique=True)
    start = models.BigIntegerField(help_text="offset of its first byte")
    size = models.BigIntegerField(null=True, blank=True, help_text="bytes that count; empty until some are durable")
    is_sealed = models.BooleanField(default=False, db_default=False, help_text="Somebody else may write behind them.")


class Trash(models.Model):
    """An object that no row needs any more, and the time from which on it may be deleted."""

    key = models.CharField(max_length=80, unique=True)
    delete_after = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "trash"


class RegistryId(models.Model):
    """The one row that names this registry; its bucket names it too, see `bucket_owner`."""

    value = models.UUIDField(default=uuid.uuid4)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.value)
