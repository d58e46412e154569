"""Tell webhooks of a change: rows of their outbox, in the transaction that makes it, as its last statement.

The audit's events of the same changes are recorded once they are committed, by the views: they wait for no disk, and
have the credential.
"""

from collections.abc import Sequence

from acl.names import RepositoryName
from core.db.statement import Statement
from webhooks import outbox
from webhooks.kinds import EventKind
from webhooks.origin import Origin
from webhooks.outbox import Subject

_OCTET_STREAM = "application/octet-stream"

_MANIFEST = Statement("""
SELECT manifest.media_type, manifest.size FROM distribution_manifest manifest
JOIN distribution_repository repository ON repository.id = manifest.repository_id
WHERE repository.name = %s AND manifest.digest = %s
""")
_TAGS = Statement("""
SELECT repository.name, tag.name, manifest.digest FROM distribution_tag tag
JOIN distribution_manifest manifest ON manifest.id = tag.manifest_id
JOIN distribution_repository repository ON repository.id = tag.repository_id
WHERE tag.id = ANY(%s) ORDER BY repository.name, tag.id
""")
_BLOB_SIZE = Statement("SELECT size FROM distribution_blob WHERE digest = %s")

DeletedTag = tuple[str, str, str]
"""Repository, tag, and the digest that it named."""


def manifest_pushed(
    name: RepositoryName,
    account: str,
    origin: Origin,
    *,
    digest: str,
    tags: Sequence[str],
    media_type: str,
    size: int,
) -> None:
    """Announce a manifest, once for each tag that it was pushed under."""
    if hooks := outbox.subscribers(EventKind.MANIFEST_PUSH, name, origin.version):
        subjects = [Subject(digest, tag, media_type, size) for tag in tags or ("",)]
        outbox.add(hooks, EventKind.MANIFEST_PUSH, name, subjects, account=account, origin=origin)


def tag_moved(name: RepositoryName, account: str, origin: Origin, digest: str, tag: str) -> None:
    """Announce a tag that was moved to a manifest which is there already."""
    if hooks := outbox.subscribers(EventKind.TAG_MOVE, name, origin.version):
        media_type, size = _MANIFEST.row(name, digest) or ("", None)
        outbox.add(
            hooks, EventKind.TAG_MOVE, name, [Subject(digest, tag, media_type, size)], account=account, origin=origin
        )


def tags_before_deletion(pks: Sequence[int], origin: Origin) -> list[DeletedTag]:
    """Return the tags with these keys, which are locked, if any webhook wants to know of their deletion."""
    return list(_TAGS.rows(list(pks))) if pks and outbox.is_wanted(EventKind.TAG_DELETE, origin.version) else []


def tags_deleted(tags: Sequence[DeletedTag], account: str, origin: Origin) -> None:
    """Announce the tags that `tags_before_deletion` returned."""
    # By name: the locks of repositories are taken in one order.
    for name in sorted({name for name, _, _ in tags}):
        if hooks := outbox.subscribers(EventKind.TAG_DELETE, name, origin.version):
            subjects = [Subject(digest, tag) for of, tag, digest in tags if of == name]
            outbox.add(hooks, EventKind.TAG_DELETE, name, subjects, account=account, origin=origin)


def manifest_deleted(name: RepositoryName, account: str, origin: Origin, digest: str) -> None:
    _announce(EventKind.MANIFEST_DELETE, name, account, origin, Subject(digest))


def repository_deleted(name: RepositoryName, account: str, origin: Origin) -> None:
    _announce(EventKind.REPOSITORY_DELETE, name, account, origin, Subject())


def blob_pushed(name: RepositoryName, account: str, origin: Origin, digest: str, size: int) -> None:
    _announce(EventKind.BLOB_PUSH, name, account, origin, Subject(digest, media_type=_OCTET_STREAM, size=size))


def blob_mounted(name: RepositoryName, account: str, origin: Origin, digest: str, source: str) -> None:
    if hooks := outbox.subscribers(EventKind.BLOB_MOUNT, name, origin.version):
        subject = Subject(digest, media_type=_OCTET_STREAM, size=_BLOB_SIZE.value(digest), source=source)
        outbox.add(hooks, EventKind.BLOB_MOUNT, name, [subject], account=account, origin=origin)


def blob_deleted(name: RepositoryName, account: str, origin: Origin, digest: str) -> None:
    _announce(EventKind.BLOB_DELETE, name, account, origin, Subject(digest))


def _announce(kind: EventKind, name: RepositoryName, account: str, origin: Origin, subject: Subject) -> None:
    if hooks := outbox.subscribers(kind, name, origin.version):
        outbox.add(hooks, kind, name, [subject], account=account, origin=origin)
