"""The kinds of events."""

from django.db.models import TextChoices


class Kind(TextChoices):
    """What happened; the value is stored."""

    LOGIN = "login", "login"
    LOGIN_REFUSED = "login_refused", "login refused"
    TOKEN = "token", "token issued"
    TAG_PUSHED = "tag_pushed", "tag pushed"
    MANIFEST_PUSHED = "manifest_pushed", "manifest pushed without a tag"
    BLOB_MOUNTED = "blob_mounted", "blob mounted"
    TAG_DELETED = "tag_deleted", "tag deleted"
    MANIFEST_DELETED = "manifest_deleted", "manifest deleted"
    BLOB_DELETED = "blob_deleted", "blob deleted"
    REPOSITORY_DELETED = "repository_deleted", "repository deleted"
    DENIAL = "denial", "access refused"
    CHANGE = "change", "change by an administrator"
    SECOND_FACTOR = "second_factor", "second factor"
    PASSWORD = "password", "password changed"
    ACCESS_TOKEN = "access_token", "access token made or revoked"
    LOGIN_REVOKED = "login_revoked", "docker login revoked"
    IMPORT = "import", "configuration imported"
    COLLECTION = "collection", "collection ended"
    KEY_ROTATED = "key_rotated", "signing key rotated"


REFUSALS = frozenset((Kind.DENIAL, Kind.LOGIN_REFUSED))
