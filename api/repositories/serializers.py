"""The JSON of repositories, tags, manifests and referrers."""

from typing import Any

from rest_framework import serializers

from acl.actions import CONCRETE
from api.json_body import TextField
from api.paging import PageQuery

OBSTACLE = "Why policies forbid to delete it, for who may push or delete; null: they do not."


class RepositoriesQuery(PageQuery):
    prefix = serializers.CharField(
        max_length=255, default="", allow_blank=True, help_text="The beginning of a name, as `team/`."
    )
    contains = serializers.CharField(max_length=255, default="", allow_blank=True, help_text="A part of a name.")


class ListedRepositorySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    actions = serializers.ListField(
        child=serializers.ChoiceField(sorted(CONCRETE)), help_text="What you may do with it."
    )
    created_at = serializers.DateTimeField()


class RepositorySerializer(ListedRepositorySerializer):
    obstacle = serializers.CharField(allow_null=True, help_text=OBSTACLE)
    keeps_untagged = serializers.BooleanField(help_text="Whether untagged manifests stay here.")
    tags = serializers.IntegerField()
    manifests = serializers.IntegerField()
    blobs = serializers.IntegerField()
    uploads = serializers.IntegerField(help_text="Open upload sessions.")
    own_bytes = serializers.IntegerField(help_text="Of blobs that no other repository has: a deletion frees them.")
    shared_bytes = serializers.IntegerField(help_text="Of blobs that other repositories have too.")


class DeletedRepositorySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    tags = serializers.IntegerField()
    manifests = serializers.IntegerField()
    blobs = serializers.IntegerField()
    uploads = serializers.IntegerField()
    freed_bytes = serializers.IntegerField(help_text="Freed some minutes later, when the collector has removed them.")
    kept_bytes = serializers.IntegerField(help_text="Of blobs that stay, since other repositories have them.")


class TagsQuery(PageQuery):
    contains = serializers.CharField(max_length=128, default="", allow_blank=True, help_text="A part of a tag.")


class TagSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    digest = serializers.CharField()
    media_type = serializers.CharField()
    size = serializers.IntegerField(
        allow_null=True, help_text="The bytes of all its blobs, for every platform; null: too many to add up."
    )
    obstacle = serializers.CharField(allow_null=True, help_text=OBSTACLE)
    updated_at = serializers.DateTimeField(help_text="When it was pushed or moved.")
    pushed_by = serializers.CharField(allow_null=True, help_text="The account; empty: anonymous, null: unknown.")


class TagMoveSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    to = serializers.CharField(allow_null=True, help_text="A digest; null: the tag was deleted.")
    account = serializers.CharField(allow_null=True, help_text="Empty: anonymous; null for anonymous readers.")
    moved_at = serializers.DateTimeField()
    can_roll_back = serializers.BooleanField(
        help_text="Whether the manifest of `from` is still there, and no policy forbids it."
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add `from`, which is no name in Python."""
        before = serializers.CharField(allow_null=True, help_text="A digest; null: the tag was new.")
        return {"from": before, **super().get_fields()}


class TargetSerializer(serializers.Serializer[Any]):
    digest = TextField(max_length=140, help_text="Of a manifest of the same repository.")


class ManifestsQuery(PageQuery):
    tagged = serializers.BooleanField(allow_null=True, default=None, help_text="Only those with, or without, a tag.")
    artifact_type = serializers.CharField(max_length=255, default="", allow_blank=True)


class ListedManifestSerializer(serializers.Serializer[Any]):
    digest = serializers.CharField()
    media_type = serializers.CharField()
    artifact_type = serializers.CharField(help_text="Empty if the manifest names none.")
    subject = serializers.CharField(allow_null=True, help_text="The digest that it refers to.")
    manifest_bytes = serializers.IntegerField(help_text="Of the manifest itself.")
    pushed_by = serializers.CharField(allow_null=True, help_text="The account; empty: anonymous, null: unknown.")
    created_at = serializers.DateTimeField()


class ManifestSerializer(ListedManifestSerializer):
    size = serializers.IntegerField(allow_null=True, help_text="As of a tag.")
    platforms = serializers.ListField(
        child=serializers.CharField(), help_text="Of an image or index, as `linux/arm64/v8`."
    )
    tags = serializers.ListField(child=serializers.CharField(), help_text="At most 200.")
    annotations = serializers.DictField(child=serializers.CharField())
    raw = serializers.CharField(help_text="The manifest as it was pushed: its digest is that of these bytes in UTF-8.")


class ReferrersQuery(PageQuery):
    artifact_type = serializers.CharField(max_length=255, default=None, allow_null=True)


class ReferrerSerializer(serializers.Serializer[Any]):
    digest = serializers.CharField()
    media_type = serializers.CharField()
    size = serializers.IntegerField(help_text="Of the manifest, in bytes.")
    artifact_type = serializers.CharField(help_text="Empty if the manifest names none.")
    annotations = serializers.DictField(child=serializers.CharField())
