"""Delete a whole repository: hidden at once, its rows removed in bounded transactions.

    alice/app ──> !17 alice/app ──> uploads, tags, manifests, links and blobs, some at a time ──> the row itself

Every request finds a repository, and its upload sessions, by name. So renaming one row to a name outside the grammar
hides everything in it, and the next push creates another row. `unfinished` finds interrupted deletions by such names.

Nothing is added to a hidden repository: a verb that adds has found the row by its name, and locks it against the
renaming. Verbs that remove lock rows in the same order as here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from acl.names import NAME_MAX_CHARACTERS, RepositoryName
from core.api.errors import ErrorCode, RegistryError
from core.db import transactions
from core.db.statement import Statement
from core.failpoints import failpoint
from distribution import blobs
from distribution.announcements import changes
from distribution.models import Repository, Tag, Upload
from distribution.uploads import sessions
from distribution.usage.quotas import Room
from policies.immutability import Immutability
from webhooks.origin import COMMAND, Origin

UPLOADS = 50
TAGS = 1000
LINKS = 200
MANIFESTS = 100
# A manifest's rows grow with its bytes; an ordinary manifest has one to three thousand bytes.
MANIFEST_BYTES = 256 * 1024

# Outside the grammar of names, and sorts before all of them.
_MARK = "!"
_HIDDEN = Q(name__gte=_MARK, name__lt=chr(ord(_MARK) + 1))

_LOCK_NAMED = Statement("SELECT id FROM distribution_repository WHERE name = %s FOR UPDATE")
_HIDE = Statement("UPDATE distribution_repository SET name = %s, is_listed = FALSE WHERE id = %s")
# Orders concurrent steps: each finds only the rows that the last one left.
_LOCK = Statement("SELECT id FROM distribution_repository WHERE id = %s FOR UPDATE")
_REMOVE = Statement("DELETE FROM distribution_repository WHERE id = %s")

_COUNTS = Statement("""
SELECT (SELECT count(*) FROM distribution_tag WHERE repository_id = repository.id),
    (SELECT count(*) FROM distribution_manifest WHERE repository_id = repository.id),
    (SELECT count(*) FROM distribution_link WHERE repository_id = repository.id),
    (SELECT count(*) FROM distribution_upload WHERE repository_id = repository.id)
FROM distribution_repository repository WHERE id = %s
""")
_BYTES = Statement("""
SELECT COALESCE(SUM(CASE WHEN is_shared THEN 0 ELSE size END), 0),
    COALESCE(SUM(CASE WHEN is_shared THEN size ELSE 0 END), 0)
FROM (
    SELECT blob.size AS size, EXISTS (
        SELECT 1 FROM distribution_link other
        WHERE other.blob_id = blob.id AND other.repository_id <> link.repository_id
    ) AS is_shared
    FROM distribution_link link JOIN distribution_blob blob ON blob.id = link.blob_id WHERE link.repository_id = %s
) linked
""")

_UPLOADS = Statement("SELECT id FROM distribution_upload WHERE repository_id = %s LIMIT %s")

_TAGS = Statement("SELECT id FROM distribution_tag WHERE repository_id = %s LIMIT %s")
_LOCK_TAGS = Statement("SELECT id FROM distribution_tag WHERE id = ANY(%s) ORDER BY id FOR UPDATE")
_REMOVE_TAGS = Statement("DELETE FROM distribution_tag WHERE id = ANY(%s)")

_MANIFESTS = Statement("SELECT id, size FROM distribution_manifest WHERE repository_id = %s LIMIT %s")
_LOCK_MANIFESTS = Statement("SELECT id FROM distribution_manifest WHERE id = ANY(%s) ORDER BY id FOR UPDATE")
_REMOVE_MANIFESTS = (
    Statement("DELETE FROM distribution_manifestblob WHERE manifest_id = ANY(%s)"),
    Statement("DELETE FROM distribution_manifestchild WHERE parent_id = ANY(%s)"),
    Statement("DELETE FROM distribution_manifestchild WHERE child_id = ANY(%s)"),
    Statement("DELETE FROM distribution_manifest WHERE id = ANY(%s)"),
)

_LINKS = Statement("SELECT id, blob_id FROM distribution_link WHERE repository_id = %s LIMIT %s")
_LOCK_BLOBS = Statement("SELECT id, key, size FROM distribution_blob WHERE id = ANY(%s) ORDER BY id FOR UPDATE")
_LOCK_LINKS = Statement("SELECT id, blob_id FROM distribution_link WHERE id = ANY(%s) ORDER BY id FOR UPDATE")

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Contents:
    """Counts of a repository; a blob that no other repository links is its own, the others are shared."""

    tags: int
    manifests: int
    links: int
    uploads: int
    own_bytes: int
    shared_bytes: int

    @property
    def rows(self) -> int:
        """The number of rows that `steps` will have removed in the end."""
        return self.tags + self.manifests + self.links + self.uploads


@dataclass(slots=True)
class Removed:
    """Counts of removed rows, and the bytes of the removed blobs."""

    uploads: int = 0
    tags: int = 0
    manifests: int = 0
    links: int = 0
    blobs: int = 0
    freed_bytes: int = 0

    @property
    def rows(self) -> int:
        """The number of rows of the repository; a blob belongs to none."""
        return self.uploads + self.tags + self.manifests + self.links

    def add(self, other: "Removed") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def contents(pk: int) -> Contents:
    """Return the counts of a repository, zeros when it does not exist."""
    tags, manifests, links, uploads = _COUNTS.row(pk) or (0, 0, 0, 0)
    own, shared = _BYTES.row(pk) or (0, 0)
    return Contents(tags, manifests, links, uploads, int(own), int(shared))


def begin(
    name: RepositoryName,
    expected: Callable[[], bool] | None = None,
    *,
    account: str = "",
    is_overridden: bool = False,
    origin: Origin = COMMAND,
) -> int:
    """Hide the repository from clients, and return its primary key for `steps`.

    `expected` tells, once its row is locked, whether it is in the state that the client has seen. Raises NAME_UNKNOWN;
    DENIED, 412, when its state is not `expected`, and 409, when it is protected or has an immutable tag, unless
    `is_overridden`.
    """
    pk = transactions.run_removal(_hide, name, expected, account=account, is_overridden=is_overridden, origin=origin)
    failpoint("repository.after_hide_commit")
    return pk


def _hide(
    name: RepositoryName, expected: Callable[[], bool] | None, *, account: str, is_overridden: bool, origin: Origin
) -> int:
    immutability = Immutability.of_removal(name, is_overridden=is_overridden)
    room = Room.of(name)
    room.lock()
    pk = _LOCK_NAMED.value(name)
    if pk is None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, {"name": name})
    if expected is not None and not expected():
        raise RegistryError(ErrorCode.DENIED, status=412, message="the repository has changed meanwhile")
    if immutability.policies:
        immutability.require_deletable(Tag.objects.filter(repository=pk).values_list("name", flat=True))
    _HIDE.run(f"{_MARK}{pk} {name}"[:NAME_MAX_CHARACTERS], pk)
    room.forget()
    changes.repository_deleted(name, account, origin)
    failpoint("repository.before_hide_commit")
    return int(pk)


def unfinished() -> QuerySet[Repository]:
    """Return the hidden repositories, whose deletion has not ended."""
    return Repository.objects.filter(_HIDDEN)


def without_hidden(rows: QuerySet[Repository]) -> QuerySet[Repository]:
    """Return those of `rows` that are not hidden."""
    return rows.exclude(_HIDDEN)


def in_sight(rows: QuerySet[Row]) -> QuerySet[Row]:
    """Return the `rows` whose repository is not hidden."""
    # A query of its own, which mostly finds nothing: a condition on a joined table would be evaluated for each row.
    hidden = list(unfinished().values_list("pk", flat=True))
    return rows.exclude(repository__in=hidden) if hidden else rows


def original_name(repository: Repository) -> str:
    """Return the name before the deletion, truncated if it was very long; of a visible repository its name."""
    return repository.name.partition(" ")[2] or repository.name


def steps(pk: int) -> Iterator[Removed]:
    """Remove the contents of a hidden repository, then its row: one transaction for each item.

    Any number of processes may run it at once, and continue where one of them stopped.
    """
    while (removed := transactions.run(_step, pk)) is not None:
        failpoint("repository.after_step_commit")
        yield removed


def _step(pk: int) -> Removed | None:
    if _LOCK.row(pk) is None:
        return None
    for remove_some in (_remove_uploads, _remove_tags, _remove_manifests, _remove_links):
        removed = remove_some(pk)
        if removed is not None:
            failpoint("repository.before_step_commit")
            return removed
    _REMOVE.run(pk)
    return None


def _remove_uploads(pk: int) -> Removed | None:
    found = [row[0] for row in _UPLOADS.rows(pk, UPLOADS)]
    if not found:
        return None
    rows = list(Upload.objects.select_for_update().filter(pk__in=found).order_by("pk"))
    for row in rows:
        sessions.discard(row)
    return Removed(uploads=len(rows))


def _remove_tags(pk: int) -> Removed | None:
    found = [row[0] for row in _TAGS.rows(pk, TAGS)]
    if not found:
        return None
    _LOCK_TAGS.rows(found)
    return Removed(tags=_REMOVE_TAGS.run(found))


def _remove_manifests(pk: int) -> Removed | None:
    found: list[int] = []
    total = 0
    for manifest_pk, size in _MANIFESTS.rows(pk, MANIFESTS):
        total += size
        # At least one, however large it is.
        if found and total > MANIFEST_BYTES:
            break
        found.append(manifest_pk)
    if not found:
        return None
    _LOCK_MANIFESTS.rows(found)
    *_, count = (statement.run(found) for statement in _REMOVE_MANIFESTS)
    return Removed(manifests=count)


def _remove_links(pk: int) -> Removed | None:
    found = _LINKS.rows(pk, LINKS)
    if not found:
        return None
    removed = Removed()
    locked = {blob_pk: (key, size) for blob_pk, key, size in _LOCK_BLOBS.rows([blob_pk for _, blob_pk in found])}
    for link_pk, blob_pk in _LOCK_LINKS.rows([link_pk for link_pk, _ in found]):
        key, size = locked[blob_pk]
        removed.links += 1
        if blobs.unlink(link_pk, blob_pk, key):
            removed.blobs += 1
            removed.freed_bytes += size
    return removed
