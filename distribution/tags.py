"""Tags: list, delete. `manifests.put` moves them."""

from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError
from core.db import transactions
from core.db.statement import Statement
from core.failpoints import failpoint
from distribution.manifests import references
from distribution.models import Manifest, Tag, remove
from distribution.protocol.pagination import Page, names_of

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


def page(name: RepositoryName, limit: int, last: str) -> Page:
    """Return up to `limit` tags after `last`, in byte order. Raises NAME_UNKNOWN."""
    row = _PAGE.row(last, limit + 1, name)
    if row is None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, {"name": name})
    return Page.of(names_of(row[0]), limit)


def delete_rows(pks: list[int]) -> None:
    """Remove the tags with these primary keys in one transaction; a missing one is no error."""
    transactions.run(_delete_rows, pks)


def _delete_rows(pks: list[int]) -> None:
    rows = _LOCK.rows(pks)
    manifests = list({manifest_pk for _, manifest_pk in rows})
    _LOCK_MANIFESTS.rows(manifests)
    remove(Tag.objects.filter(pk__in=[pk for pk, _ in rows]))
    references.release_manifests(manifests)


def delete(name: RepositoryName, tag: str) -> None:
    """Remove the tag; its manifest stays. Raises MANIFEST_UNKNOWN."""
    transactions.run_removal(_delete, name, tag)
    failpoint("tag.after_delete_commit")


def _delete(name: RepositoryName, tag: str) -> None:
    row = Tag.objects.select_for_update(of=("self",)).filter(repository__name=name, name=tag).first()
    if row is None:
        raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, {"name": name, "tag": tag})
    # Locked before the tag is removed, in the one order of locks: a concurrent put of the manifest waits.
    list(Manifest.objects.select_for_update().filter(pk=row.manifest_id).values_list("pk", flat=True))
    remove(Tag.objects.filter(pk=row.pk))
    references.release_manifests([row.manifest_id])
    failpoint("tag.before_delete_commit")
