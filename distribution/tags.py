"""Tags: list, delete. They are moved by `manifests.put`."""

from acl.names import RepositoryName
from distribution import holds, lookup, transactions
from distribution.failpoints import failpoint
from distribution.models import Manifest, Tag, remove
from distribution.pages import Page
from tokens.errors import ErrorCode, RegistryError


def page(name: RepositoryName, limit: int, last: str) -> Page:
    """Return up to `limit` tags after `last`, in byte order. Raises NAME_UNKNOWN."""
    repository = lookup.repository(name)
    if repository is None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, {"name": name})
    return Page.of(lookup.tags(repository, last, limit + 1), limit)


def delete(name: RepositoryName, tag: str) -> None:
    """Remove the tag; its manifest stays. Raises MANIFEST_UNKNOWN."""
    transactions.run(_delete, name, tag)
    failpoint("tag.after_delete_commit")


def _delete(name: RepositoryName, tag: str) -> None:
    row = Tag.objects.select_for_update(of=("self",)).filter(repository__name=name, name=tag).first()
    if row is None:
        raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, {"name": name, "tag": tag})
    # Locked before the tag goes, in the one order of locks: whoever puts the manifest waits here.
    list(Manifest.objects.select_for_update().filter(pk=row.manifest_id).values_list("pk", flat=True))
    remove(Tag.objects.filter(pk=row.pk))
    holds.drop_manifests([row.manifest_id])
    failpoint("tag.before_delete_commit")
