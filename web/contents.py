"""Rows of repositories and tags, a page at a time; no query reads more than the page and its children."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import Q

from acl.rules import IdentityRules, listed
from core.db.statement import Statement
from distribution import repositories
from distribution.manifests.sizes import MAX_CHILDREN, sizes_of
from distribution.models import Manifest, Repository, Tag
from web.platforms import platforms_of

PAGE = 50
# Tags are counted up to here: a count reads each of them.
MOST_COUNTED = 1000
# Tags of a repository that are sorted by time: there is no index for it.
MAX_SORTED = 100_000

# The order has PostgreSQL read the index: if few repositories have most tags, it expects each to have many.
_TAGS = Statement("""
SELECT id, (
    SELECT count(*) FROM (
        SELECT 1 FROM distribution_tag WHERE repository_id = repository.id ORDER BY repository_id, name LIMIT %s
    ) found
) FROM distribution_repository repository WHERE id = ANY(%s)
""")


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    """A repository of a list; `tags` of more than MOST_COUNTED is one more."""

    name: str
    actions: str
    tags: int
    size: int | None
    pushed_at: datetime | None
    pulled_at: datetime | None


@dataclass(slots=True)
class TagRow:
    """A tag of a list; `size` in bytes, of all that a pull of every platform transfers; None: too many to add up."""

    name: str
    updated_at: datetime
    pushed_by: str | None
    pulled_at: datetime | None
    manifest: int
    digest: str
    media_type: str
    artifact_type: str
    size: int | None = None
    platforms: list[str] = field(default_factory=list)
    is_signed: bool = False


def repository_page(rules: IdentityRules, after: str, containing: str) -> tuple[list[RepositoryRow], bool]:
    """Return the repositories after `after` whose name contains the text, and whether more follow."""
    page = repositories.catalog(PAGE, after, rules, containing)
    return rows_of(page.names, rules), page.has_more


def rows_of(names: Sequence[str], rules: IdentityRules) -> list[RepositoryRow]:
    """Return the rows of these repositories, in their order."""
    found = {row.name: row for row in Repository.objects.filter(name__in=names).defer("description")}
    tags = tag_counts([row.pk for row in found.values()])
    # A name without a row was removed a moment ago.
    rows = [found[name] for name in names if name in found]
    return [
        RepositoryRow(
            row.name, listed(rules.actions_on(row.name)), tags.get(row.pk, 0), row.size, row.pushed_at, row.pulled_at
        )
        for row in rows
    ]


def tag_counts(pks: Sequence[int]) -> Mapping[int, int]:
    """Return the numbers of tags by primary key of their repository; they are counted up to MOST_COUNTED."""
    return {pk: int(count) for pk, count in _TAGS.rows(MOST_COUNTED + 1, list(pks))}


def tag_page(repository: int, after: str, containing: str, sort: str = "name") -> tuple[list[TagRow], str]:
    """Return the tags of a repository whose name contains the text, and what the next page begins after; "": nothing.

    By name they are in byte order. The newest of more than MAX_SORTED tags would be too much to look for: `sort` is
    "newest" only where `may_sort`.
    """
    tags = Tag.objects.filter(repository=repository)
    if sort == "newest":
        tags = tags.order_by("-updated_at", "name")
        with suppress(ValueError, OverflowError):
            at, _, name = after.partition(" ")
            moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
            tags = tags.filter(Q(updated_at__lt=moment) | Q(updated_at=moment, name__gt=name))
    else:
        tags = tags.filter(name__gt=after).order_by("name")
    if containing:
        tags = tags.filter(name__contains=containing)
    # The page's keys first: what is read of a row would be read of all that are sorted.
    pks = list(tags.values_list("pk", flat=True)[: PAGE + 1])
    rows = _tag_rows(repository, pks[:PAGE])
    if len(pks) <= PAGE or not rows:
        return rows, ""
    last = rows[-1]
    is_newest = sort == "newest"
    return rows, f"{last.updated_at.replace(tzinfo=None).isoformat()} {last.name}" if is_newest else last.name


def may_sort(repository: int) -> bool:
    """Return whether the repository has so few tags that they may be sorted by another column than the name."""
    return len(Tag.objects.filter(repository=repository).values_list("pk")[MAX_SORTED : MAX_SORTED + 1]) == 0


def _tag_rows(repository: int, pks: Sequence[int]) -> list[TagRow]:
    """Return the tags with these primary keys, in their order."""
    columns = ("manifest__digest", "manifest__media_type", "manifest__artifact_type")
    read = Tag.objects.filter(pk__in=pks).values_list(
        "pk", "name", "updated_at", "pushed_by", "pulled_at", "manifest_id", *columns
    )
    by_pk = {row[0]: row[1:] for row in read}
    found = [by_pk[pk] for pk in pks if pk in by_pk]
    rows = [TagRow(*row[:8]) for row in found]
    sizes = sizes_of([row.manifest for row in rows])
    platforms = platforms_of(repository, [row.manifest for row in rows])
    signed = _signed(repository, [row.digest for row in rows])
    for row in rows:
        row.size, row.platforms = sizes.get(row.manifest), platforms.get(row.manifest, [])
        row.is_signed = row.digest in signed
    return rows


def tag_named(repository: int, name: str) -> TagRow | None:
    """Return one tag, None when it is missing."""
    pk = Tag.objects.filter(repository=repository, name=name).values_list("pk", flat=True).first()
    return next(iter(_tag_rows(repository, [pk])), None) if pk else None


def _signed(repository: int, digests: Sequence[str]) -> set[str]:
    """Return those of the digests that have a signature: a referrer, or a tag of cosign's older scheme."""
    referrers = Manifest.objects.filter(repository=repository, subject__in=digests)
    signed = {
        subject
        for subject, kind in referrers.values_list("subject", "artifact_type")[: PAGE * MAX_CHILDREN]
        if subject is not None and is_signature(kind)
    }
    tags = {f"{digest.replace(':', '-', 1)}.sig": digest for digest in digests}
    named = Tag.objects.filter(repository=repository, name__in=tags).values_list("name", flat=True)
    return signed | {tags[name] for name in named}


def is_signature(artifact_type: str) -> bool:
    """Return whether an artifact of this type is a signature of cosign or notation."""
    return artifact_type == "application/vnd.cncf.notary.signature" or artifact_type.startswith(
        ("application/vnd.dev.cosign.artifact.sig", "application/vnd.dev.sigstore.bundle")
    )
