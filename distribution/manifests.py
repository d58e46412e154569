"""Manifests: find, put, delete.

What a manifest names in its repository exists as rows: foreign keys say so. Every lock is taken before the
first write, in the order Tag → Manifest → Link, each kind by primary key in one statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Now

from acl.names import RepositoryName
from distribution import families, holds, lookup, repositories, transactions
from distribution.digest import Digest
from distribution.failpoints import failpoint
from distribution.lookup import FoundManifest
from distribution.manifest import ParsedManifest, parse_manifest
from distribution.models import Link, Manifest, ManifestBlob, ManifestChild, Repository, Tag, remove
from distribution.tag import Tag as TagName
from distribution.transactions import LostRaceError
from tokens.errors import ErrorCode, RegistryError


@dataclass(frozen=True, slots=True)
class Put:
    """A manifest on its way in, checked as far as its bytes alone tell."""

    repository: Repository
    digest: Digest
    payload: bytes
    parsed: ParsedManifest
    tags: tuple[TagName, ...]

    @property
    def subject(self) -> str | None:
        """The digest of the manifest it refers to."""
        return str(self.parsed.subject.digest) if self.parsed.subject else None

    @property
    def children(self) -> set[str]:
        """The digests of the manifests it lists."""
        return {str(child.digest) for child in self.parsed.children}

    @property
    def turns(self) -> set[str]:
        """The digests whose comers and referrers come one after the other."""
        return {str(self.digest)} | ({self.subject} if self.subject else set())

    @property
    def blobs(self) -> set[str]:
        """The digests of the blobs that must be in the repository."""
        return {str(blob.digest) for blob in self.parsed.blobs}

    @property
    def optional_blobs(self) -> set[str]:
        """The digests of blobs that may be elsewhere; one that is here is held all the same."""
        return {str(blob.digest) for blob in self.parsed.optional_blobs}


def find(name: RepositoryName, reference: Digest | TagName, *, with_payload: bool) -> FoundManifest:
    """Return the manifest, promised for half the grace period. Raises MANIFEST_UNKNOWN, NAME_UNKNOWN."""
    found = lookup.manifest(name, reference, with_payload=with_payload)
    if found is None:
        raise unknown(name, str(reference))
    return found


def put(
    name: RepositoryName,
    payload: bytes,
    content_type: str | None,
    digest: Digest | None = None,
    tags: Sequence[TagName] = (),
) -> Put:
    """Store the manifest and move `tags` to it; `digest` is what the client says it has, None: sha256 of the payload.

    Raises MANIFEST_INVALID, DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN (one for each missing descriptor).
    """
    actual = Digest.of(payload, digest.algorithm if digest else "sha256")
    if digest not in (None, actual):
        raise RegistryError(ErrorCode.DIGEST_INVALID, {"expected": str(digest), "actual": str(actual)})
    parsed = parse_manifest(payload, content_type)
    incoming = Put(repositories.ensure(name), actual, payload, parsed, tuple(dict.fromkeys(tags)))
    _put_twice(incoming)
    failpoint("manifest.after_put_commit")
    return incoming


def _put_twice(incoming: Put) -> None:
    """Look once more before saying that something is missing.

    Under READ COMMITTED a row that was removed and made again while this transaction waited for its lock is
    seen by neither look of the first attempt.
    """
    try:
        transactions.run(_put, incoming)
    except RegistryError as error:
        if error.code is not ErrorCode.MANIFEST_BLOB_UNKNOWN:
            raise
        transactions.run(_put, incoming)


def _put(incoming: Put) -> None:
    # A new referrer and its new subject would else not see each other, and the referrer look as if nothing held it.
    transactions.take_turns(*(f"{incoming.repository.pk} {digest}" for digest in incoming.turns))
    tags = list(
        Tag.objects.select_for_update().filter(repository=incoming.repository, name__in=incoming.tags).order_by("pk")
    )
    around = _lock_around(incoming, tags)
    links = _lock_links(incoming)
    _check_media_type(incoming, around)
    _check_complete(incoming, around, links)
    own = _write(incoming, around, links)
    Link.objects.filter(pk__in=[link.pk for link in links], is_idle=True).update(is_idle=False)
    held = incoming.children | {digest for digest, row in around.items() if row.subject == str(incoming.digest)}
    held.discard(own.digest)
    Manifest.objects.filter(pk__in=[around[d].pk for d in held], is_idle=True).update(is_idle=False)
    _move_tags(incoming, own, tags)
    if not incoming.repository.is_listed:
        Repository.objects.filter(pk=incoming.repository.pk).update(is_listed=True)
    failpoint("manifest.before_put_commit")


def _lock_around(incoming: Put, tags: list[Tag]) -> dict[str, Manifest]:
    """Lock every manifest whose state this put changes: itself, children, subject, referrers, old targets of tags."""
    named = incoming.children | {str(incoming.digest)} | ({incoming.subject} if incoming.subject else set())
    condition = Q(digest__in=named) | Q(subject=str(incoming.digest)) | Q(pk__in=[tag.manifest_id for tag in tags])
    rows = Manifest.objects.select_for_update().filter(condition, repository=incoming.repository).order_by("pk")
    return {row.digest: row for row in rows.only("pk", "digest", "media_type", "subject", "repository_id")}


def _lock_links(incoming: Put) -> list[Link]:
    rows = Link.objects.select_for_update(of=("self",)).select_related("blob").order_by("pk")
    wanted = incoming.blobs | incoming.optional_blobs
    return list(rows.filter(repository=incoming.repository, blob__digest__in=wanted, blob__is_corrupt=False))


def _check_media_type(incoming: Put, around: dict[str, Manifest]) -> None:
    """Refuse to let bytes without a mediaType be one thing today and another tomorrow."""
    own = around.get(str(incoming.digest))
    if own is not None and own.media_type != incoming.parsed.media_type:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, f"this manifest is here already as {own.media_type}")


def _check_complete(incoming: Put, around: dict[str, Manifest], links: list[Link]) -> None:
    missing = (incoming.children - around.keys()) | (incoming.blobs - {link.blob.digest for link in links})
    if missing:
        raise RegistryError.several(ErrorCode.MANIFEST_BLOB_UNKNOWN, [{"digest": digest} for digest in sorted(missing)])


def _write(incoming: Put, around: dict[str, Manifest], links: list[Link]) -> Manifest:
    own = around.get(str(incoming.digest))
    is_held = bool(incoming.tags) or incoming.subject in around
    if own is not None:
        is_idle = not (is_held or holds.is_manifest_held(own.pk))
        Manifest.objects.filter(pk=own.pk).update(used_at=Now(), is_idle=is_idle)
        _use(own, links)
        return own
    own = _insert(incoming, is_idle=not is_held)
    _use(own, links)
    ManifestChild.objects.bulk_create(
        [ManifestChild(parent=own, child=around[digest]) for digest in sorted(incoming.children)]
    )
    return own


def _use(own: Manifest, links: list[Link]) -> None:
    """Name the links that the manifest holds; a blob that may be elsewhere can have come since the last time."""
    uses = [ManifestBlob(manifest=own, link=link) for link in links]
    ManifestBlob.objects.bulk_create(uses, ignore_conflicts=True)


def _insert(incoming: Put, *, is_idle: bool) -> Manifest:
    parsed = incoming.parsed
    return Manifest.objects.create(
        repository=incoming.repository,
        digest=str(incoming.digest),
        media_type=parsed.media_type,
        payload=incoming.payload,
        size=len(incoming.payload),
        subject=incoming.subject,
        artifact_type=parsed.artifact_type or "",
        annotations=parsed.annotations,
        used_at=Now(),
        is_idle=is_idle,
    )


def _move_tags(incoming: Put, own: Manifest, tags: list[Tag]) -> None:
    moved = [tag for tag in tags if tag.manifest_id != own.pk]
    Tag.objects.filter(pk__in=[tag.pk for tag in tags]).update(manifest=own, updated_at=Now())
    holds.drop_manifests({tag.manifest_id for tag in moved})
    there = {tag.name for tag in tags}
    Tag.objects.bulk_create(
        [
            Tag(repository=incoming.repository, name=name, manifest=own, updated_at=Now())
            # Sorted: two puts of the same new tags would else wait for each other.
            for name in sorted(set(incoming.tags) - there)
        ]
    )


def delete(name: RepositoryName, digest: Digest) -> None:
    """Remove the manifest and all its tags at once.

    Raises MANIFEST_UNKNOWN, NAME_UNKNOWN; UNSUPPORTED with the parents' digests while an index lists it.
    """
    transactions.run(_delete, name, digest)
    failpoint("manifest.after_delete_commit")


def _delete(name: RepositoryName, digest: Digest) -> None:
    row = (
        Manifest.objects.filter(repository__name=name, digest=str(digest)).only("pk", "digest", "repository_id").first()
    )
    if row is None:
        raise unknown(name, str(digest))
    tags = Tag.objects.filter(manifest=row)
    locked = set(tags.select_for_update().order_by("pk").values_list("pk", flat=True))
    family = families.lock(row)
    if row.pk not in family.pks:
        raise unknown(name, str(digest))
    if not family.is_complete or set(tags.values_list("pk", flat=True)) - locked:
        raise LostRaceError("a tag, child or referrer came in between")
    _check_no_parent(row)
    remove(Tag.objects.filter(pk__in=locked))
    families.remove(family, ended_at=None)
    failpoint("manifest.before_delete_commit")


def _check_no_parent(row: Manifest) -> None:
    parents = list(ManifestChild.objects.filter(child=row).values_list("parent__digest", flat=True)[:100])
    if parents:
        detail = {
            "reason": "an index lists this manifest: delete the index first",
            "parents": sorted(parents),
        }
        raise RegistryError(ErrorCode.UNSUPPORTED, detail)


def unknown(name: RepositoryName, reference: str) -> RegistryError:
    """Return the 404 for a manifest: of its repository when nothing was ever pushed there."""
    if lookup.repository(name) is not None:
        return RegistryError(ErrorCode.MANIFEST_UNKNOWN, {"name": name, "reference": reference})
    return RegistryError(ErrorCode.NAME_UNKNOWN, {"name": name})
