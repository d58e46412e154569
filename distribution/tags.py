"""Tags: list, roll back, delete. `manifests.put` moves them to what it stores."""

from collections.abc import Callable
from typing import Any

from accounts import permissions_version
from acl.actions import DELETE, PUSH
from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError
from core.db import transactions
from core.db.statement import Statement
from core.failpoints import failpoint
from distribution import repositories
from distribution.announcements import changes
from distribution.manifests import history, references, store, tag_rights
from distribution.manifests.tag_rights import WhoMay
from distribution.models import Manifest, Tag, remove
from distribution.protocol.digest import Digest
from distribution.protocol.pagination import Page, names_of
from distribution.protocol.references import Tag as TagName
from distribution.storage import disk_reserve
from distribution.usage import quota_sets
from distribution.usage.quotas import Room
from policies.immutability import Immutability
from webhooks.origin import COMMAND, Origin

# Byte order is the order of the index.
_PAGE = Statement("""
SELECT (
    SELECT string_agg(name, ' ') FROM (
        SELECT name FROM distribution_tag WHERE repository_id = repository.id AND name > %s ORDER BY name LIMIT %s
    ) page
) FROM distribution_repository repository WHERE repository.name = %s
""")
_LOCK = Statement("SELECT id, manifest_id FROM distribution_tag WHERE id = ANY(%s) ORDER BY id FOR UPDATE")
_LOCK_MANIFESTS = Statement("SELECT id FROM distribution_manifest WHERE id = ANY(%s) ORDER BY id FOR UPDATE")
_LOCK_NAMED = Statement("""
SELECT id, manifest_id FROM distribution_tag WHERE repository_id = %s AND name = %s FOR UPDATE
""")
_LOCK_TARGETS = Statement("""
SELECT id, digest FROM distribution_manifest WHERE id = ANY(ARRAY(
    SELECT id FROM distribution_manifest WHERE repository_id = %s AND digest = %s
    UNION ALL SELECT id FROM distribution_manifest WHERE id = %s
)) ORDER BY id FOR UPDATE
""")
_MOVE = Statement("""
UPDATE distribution_tag SET manifest_id = %s, pushed_by = %s, updated_at = statement_timestamp() WHERE id = %s
""")
_INSERT = Statement("""
INSERT INTO distribution_tag (repository_id, name, manifest_id, pushed_by, updated_at)
VALUES (%s, %s, %s, %s, statement_timestamp())
""")
_MARK_REFERENCED = Statement("UPDATE distribution_manifest SET is_unreferenced = FALSE WHERE id = %s")


class _GoneError(Exception):
    """The repository has no such manifest, or is missing."""


def page(name: RepositoryName, limit: int, last: str) -> Page:
    """Return up to `limit` tags after `last`, in byte order. Raises NAME_UNKNOWN."""
    row = _PAGE.row(last, limit + 1, name)
    if row is None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, {"name": name})
    return Page.of(names_of(row[0]), limit)


def _any_state(_digest: str | None) -> bool:
    return True


def point(
    name: RepositoryName,
    tag: TagName,
    digest: Digest,
    *,
    account: str,
    rules: WhoMay,
    expected: Callable[[str | None], bool] = _any_state,
    is_overridden: bool = False,
    origin: Origin = COMMAND,
) -> bool:
    """Move the tag, created if missing, to a manifest of the repository, an earlier one to roll back.

    Return whether it moved: False when it names the manifest already.

    `expected` tells whether it may be moved from the digest that it names now, None: a new tag.
    Raises MANIFEST_UNKNOWN, NAME_UNKNOWN; DENIED if `rules` do not allow it, 412, when its state is not `expected`, and
    409, when it is immutable and not `is_overridden`.
    """
    tag_rights.require(rules, account, name, PUSH, [tag])
    try:
        return transactions.run(
            _point,
            name,
            tag,
            str(digest),
            account=account,
            expected=expected,
            is_overridden=is_overridden,
            origin=origin,
        )
    except _GoneError as error:
        raise store.unknown(name, str(digest)) from error


def _point(
    name: RepositoryName,
    tag: TagName,
    digest: str,
    *,
    account: str,
    expected: Callable[[str | None], bool],
    is_overridden: bool,
    origin: Origin,
) -> bool:
    version = permissions_version.current()
    immutability, room = Immutability.of_push(name, version), Room.of(name, version)
    room.lock()
    repository = repositories.existing_row(name)
    if repository is None:
        raise _GoneError
    row = _LOCK_NAMED.row(repository.pk, tag)
    now = row[1] if row else None
    # The new manifest and the one so far, as `manifests.put` locks them.
    digests: dict[int, str] = dict(_LOCK_TARGETS.rows(repository.pk, digest, now or 0))
    wanted = next((pk for pk, found in digests.items() if found == digest), None)
    if not expected(digests[now] if now else None):
        raise _moved()
    if wanted is None:
        raise _GoneError
    if wanted == now:
        return False
    disk_reserve.check_rows()
    if row:
        if not is_overridden:
            immutability.require_movable(tag)
        _MOVE.run(wanted, account, row[0])
    else:
        _INSERT.run(repository.pk, tag, wanted, account)
        room.tags_added(1)
    _MARK_REFERENCED.run(wanted)
    references.release_manifests([now] if now else [])
    history.record_moves(name, [(tag, digests[now] if now else "")], digest, account)
    changes.tag_moved(name, account, origin, digest, tag)
    return True


def _moved() -> RegistryError:
    return RegistryError(ErrorCode.DENIED, status=412, message="the tag has been moved meanwhile")


def delete_rows(pks: list[int], *, account: str, origin: Origin = COMMAND) -> None:
    """Remove the tags with these primary keys in one transaction; a missing one is no error."""
    transactions.run(_delete_rows, pks, account, origin)


def _delete_rows(pks: list[int], account: str, origin: Origin) -> None:
    names = Tag.objects.filter(pk__in=pks, repository__name__gte='"').values_list("repository__name", flat=True)
    rooms = {name: Room.of(name) for name in names.distinct()}
    quota_sets.lock(one for room in rooms.values() for one in room.sets)
    rows = _LOCK.rows(pks)
    named: dict[str, list[str]] = {}
    for name, tag in Tag.objects.filter(pk__in=[pk for pk, _ in rows]).values_list("repository__name", "name"):
        named.setdefault(name, []).append(tag)
    for name, tags in named.items():
        Immutability.of_removal(name).require_deletable(tags)
    manifests = list({manifest_pk for _, manifest_pk in rows})
    _LOCK_MANIFESTS.rows(manifests)
    deleted = changes.tags_before_deletion([pk for pk, _ in rows], origin)
    history.record_deletions([pk for pk, _ in rows], account)
    remove(Tag.objects.filter(pk__in=[pk for pk, _ in rows]))
    for name, room in rooms.items():
        room.tags_removed(len(named.get(name, [])))
    references.release_manifests(manifests)
    changes.tags_deleted(deleted, account, origin)


def delete(
    name: RepositoryName,
    tag: str,
    *,
    account: str,
    rules: WhoMay,
    expected: Callable[[str | None], bool] = _any_state,
    is_overridden: bool = False,
    origin: Origin = COMMAND,
) -> None:
    """Remove the tag; its manifest stays. `expected` tells whether it may be removed from the digest that it names.

    Raises MANIFEST_UNKNOWN; DENIED if `rules` do not allow it, 412, when its state is not `expected`, and 409, when it
    is immutable, unless `is_overridden`.
    """
    tag_rights.require(rules, account, name, DELETE, [tag])
    by: Any = {"account": account, "is_overridden": is_overridden, "origin": origin}
    transactions.run_removal(_delete, name, tag, expected=expected, **by)
    failpoint("tag.after_delete_commit")


def _delete(
    name: RepositoryName,
    tag: str,
    *,
    account: str,
    expected: Callable[[str | None], bool],
    is_overridden: bool,
    origin: Origin,
) -> None:
    immutability = Immutability.of_removal(name, is_overridden=is_overridden)
    room = Room.of(name)
    room.lock()
    row = Tag.objects.select_for_update(of=("self",)).filter(repository__name=name, name=tag).first()
    if row is None:
        raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, {"name": name, "tag": tag})
    immutability.require_deletable([tag])
    # Locked before the tag is removed, in the one order of locks: a concurrent put of the manifest waits.
    digest = Manifest.objects.select_for_update().filter(pk=row.manifest_id).values_list("digest", flat=True).get()
    if not expected(digest):
        raise _moved()
    deleted = changes.tags_before_deletion([row.pk], origin)
    history.record_deletions([row.pk], account)
    remove(Tag.objects.filter(pk=row.pk))
    room.tags_removed(1)
    references.release_manifests([row.manifest_id])
    changes.tags_deleted(deleted, account, origin)
    failpoint("tag.before_delete_commit")
