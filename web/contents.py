"""Rows of repositories and tags, a page at a time; no query reads more than the page and its children."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from acl.rules import IdentityRules, listed
from core.db.statement import Statement
from distribution import repositories
from distribution.models import Manifest, Repository, Tag
from distribution.protocol.pagination import Page
from distribution.protocol.spec import INDEX_TYPES
from web.document import document_of, list_of, object_of, text_of

PAGE = 50
# Tags are counted up to here: a count reads each of them.
MOST_COUNTED = 1000
# Larger payloads, and indexes with more children, are not looked into for a list.
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_CHILDREN = 50
# Blobs of all manifests of a page: more are not added up.
MAX_USES = 50_000

_TAGS = Statement("SELECT count(*) FROM (SELECT 1 FROM distribution_tag WHERE repository_id = %s LIMIT %s) found")
_CHILDREN = Statement("""
SELECT parent_id, count(*) FROM distribution_manifestchild WHERE parent_id = ANY(%s) GROUP BY parent_id
""")
_USES = Statement("""
SELECT count(*) FROM (
    SELECT 1 FROM (
        SELECT id FROM distribution_manifest WHERE id = ANY(%s)
        UNION ALL SELECT child_id FROM distribution_manifestchild WHERE parent_id = ANY(%s)
    ) part JOIN distribution_manifestblob uses ON uses.manifest_id = part.id LIMIT %s
) found
""")
_SIZES = Statement("""
SELECT root, sum(size) FROM (
    SELECT DISTINCT part.root AS root, blob.id AS id, blob.size AS size
    FROM (
        SELECT id AS root, id FROM distribution_manifest WHERE id = ANY(%s)
        UNION ALL SELECT parent_id, child_id FROM distribution_manifestchild WHERE parent_id = ANY(%s)
    ) part
    JOIN distribution_manifestblob uses ON uses.manifest_id = part.id
    JOIN distribution_link link ON link.id = uses.link_id
    JOIN distribution_blob blob ON blob.id = link.blob_id
) found GROUP BY root
""")


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    """A repository of a list; `tags` of more than MOST_COUNTED is one more."""

    name: str
    actions: str
    tags: int
    created_at: datetime


@dataclass(slots=True)
class TagRow:
    """A tag of a list; `size` in bytes, of all that a pull of every platform transfers; None: too many to add up."""

    name: str
    digest: str
    media_type: str
    updated_at: datetime
    size: int | None = None
    platforms: list[str] = field(default_factory=list)
    is_signed: bool = False


def repository_page(rules: IdentityRules, after: str, containing: str) -> tuple[list[RepositoryRow], bool]:
    """Return the repositories after `after` whose name contains the text, and whether more follow."""
    page = repositories.catalog(PAGE, after, rules, containing)
    found = {row.name: row for row in Repository.objects.filter(name__in=page.names)}
    # A name without a row was removed a moment ago.
    rows = [_row(found[name], rules) for name in page.names if name in found]
    return rows, page.has_more


def _row(repository: Repository, rules: IdentityRules) -> RepositoryRow:
    actions = listed(rules.actions_on(repository.name))
    tags = _TAGS.value(repository.pk, MOST_COUNTED + 1)
    return RepositoryRow(repository.name, actions, tags, repository.created_at)


def tag_page(repository: int, after: str, containing: str) -> tuple[list[TagRow], bool]:
    """Return the tags of a repository after `after` whose name contains the text, and whether more follow."""
    tags = Tag.objects.filter(repository=repository, name__gt=after).order_by("name")
    if containing:
        tags = tags.filter(name__contains=containing)
    columns = ("name", "updated_at", "manifest_id", "manifest__digest", "manifest__media_type")
    found = list(tags.values_list(*columns)[: PAGE + 1])
    page = Page.of([row[0] for row in found], PAGE)
    sizes = sizes_of([row[2] for row in found[:PAGE]])
    platforms = _platforms_of([row[2] for row in found[:PAGE] if row[4] in INDEX_TYPES])
    signed = _signed(repository, [row[3] for row in found[:PAGE]])
    rows = [
        TagRow(name, digest, media_type, updated_at, sizes.get(pk), platforms.get(pk, []), digest in signed)
        for name, updated_at, pk, digest, media_type in found[:PAGE]
    ]
    return rows, page.has_more


def sizes_of(manifests: Sequence[int]) -> Mapping[int, int]:
    """Return the bytes of all blobs of these manifests and of their children, each blob once, by primary key.

    An index with more than MAX_CHILDREN is missing, and all of them are if they have more than MAX_USES blobs.
    """
    crowded = {pk for pk, count in _CHILDREN.rows(list(manifests)) if count > MAX_CHILDREN}
    wanted = [pk for pk in manifests if pk not in crowded]
    if not wanted or _USES.value(wanted, wanted, MAX_USES + 1) > MAX_USES:
        return {}
    return {pk: int(size) for pk, size in _SIZES.rows(wanted, wanted)}


def _platforms_of(indexes: Sequence[int]) -> Mapping[int, list[str]]:
    rows = Manifest.objects.filter(pk__in=indexes, size__lte=MAX_PAYLOAD_BYTES).values_list("pk", "payload")
    return {pk: platforms_in(document_of(bytes(payload))) for pk, payload in rows}


def platforms_in(index: Mapping[str, object]) -> list[str]:
    """Return the platforms of an index's images, as `linux/arm64/v8`; attestations have `unknown`, and none here."""
    found = (platform_of(object_of(entry).get("platform")) for entry in list_of(index.get("manifests"))[:MAX_CHILDREN])
    return list(dict.fromkeys(platform for platform in found if platform))


def platform_of(value: object) -> str:
    """Return a platform as text; "" for none, or an unknown one."""
    parts = [text_of(object_of(value).get(key)) for key in ("os", "architecture", "variant")]
    return "" if "unknown" in parts else "/".join(filter(None, parts))


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
