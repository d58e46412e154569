"""The front page: repositories by name, size or time, as a tree, or those that have a tag or digest.

Rules are patterns, so the database reads the name ranges that they may match, and each name is tried here. What is read
for a page is bounded; a page that ends at a bound may be short.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, NamedTuple

from django.db.models import BigIntegerField, DateTimeField, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import IsNull

from acl.actions import PULL
from acl.name_range import BEHIND, NameRange
from acl.rules import IdentityRules
from core.api.errors import RegistryError
from core.db.statement import Statement
from distribution import repositories
from distribution.models import Blob, Manifest, Repository, Tag
from distribution.protocol.digest import Digest
from distribution.protocol.pagination import names_of
from distribution.protocol.references import parse_reference
from web import contents
from web.contents import RepositoryRow

# Repositories that are sorted by anything but their name: there is no index for it.
MAX_SORTED = 20_000
# Repositories of a folder are counted up to here.
MOST_COUNTED = 1000
# More ranges become one, from the first to the last.
MAX_RANGES = 50

# An index has each pair of a repository and a digest. A scalar subquery looks into it once for each repository, and the
# database answers with those that have it: an index by digest alone would cost each push.
_HAVING_SQL = """
SELECT string_agg(name, ' ') FROM (
    SELECT name FROM (
        SELECT id, name FROM distribution_repository WHERE is_listed AND name >= %s AND name < %s ORDER BY name LIMIT %s
    ) searched
    WHERE (SELECT 1 FROM {rows} LIMIT 1) IS NOT NULL ORDER BY name
) found
"""


def _statements(rows: str) -> dict[bool, Statement]:
    """Return the statement for a range of names with an end, and for one without."""
    sql = _HAVING_SQL.replace("{rows}", rows)
    return {False: Statement(sql), True: Statement(sql.replace(" AND name < %s", ""))}


_HAVING_MANIFEST = _statements("distribution_manifest WHERE repository_id = searched.id AND digest = %s")
_HAVING_BLOB = _statements(
    "distribution_link link WHERE repository_id = searched.id AND blob_id = %s"
    " AND EXISTS (SELECT 1 FROM distribution_manifest WHERE repository_id = link.repository_id)"
)

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: dict[str, Coalesce] = {
    "size": Coalesce(F("size"), Value(-1), output_field=BigIntegerField()),
    "pushed": Coalesce(F("pushed_at"), Value(_NEVER), output_field=DateTimeField()),
    "pulled": Coalesce(F("pulled_at"), Value(_NEVER), output_field=DateTimeField()),
}
SORTS = ("name", *_COLUMNS)


class Listed(NamedTuple):
    """A page of repositories, and what the next one begins after; "" at the end."""

    rows: Sequence[RepositoryRow]
    following: str


@dataclass(frozen=True, slots=True)
class Folder:
    """The repositories whose names begin with `prefix`; `count` of more than MOST_COUNTED is one more."""

    name: str
    prefix: str
    count: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Folders and repositories below a prefix."""

    folders: Sequence[Folder]
    rows: Sequence[RepositoryRow]
    following: str


class Found(NamedTuple):
    """What a search by tag or digest has found; `reference` is empty for a blob, which has no page."""

    name: str
    reference: str


def by_name(rules: IdentityRules, after: str, containing: str) -> Listed:
    """Return a page of repositories in byte order."""
    rows, has_more = contents.repository_page(rules, after, containing)
    return Listed(rows, rows[-1].name if rows and has_more else "")


def may_sort() -> bool:
    """Return whether repositories can be sorted by anything but their name."""
    return not Repository.objects.order_by("pk")[MAX_SORTED : MAX_SORTED + 1].exists()


def by_column(rules: IdentityRules, sort: str, after: str, containing: str) -> Listed:
    """Return a page of repositories, the largest value of a column first, and those without one at the end.

    All rows are read, once: `may_sort` tells whether there are few enough.
    """
    rows = _pullable(rules).annotate(key=_COLUMNS[sort]).order_by("-key", "name")
    if containing:
        rows = rows.filter(name__contains=containing)
    if last := _cursor(sort, after):
        rows = rows.filter(Q(key__lt=last[1]) | Q(key=last[1], name__gt=last[0]))
    pairs = rows.values_list("name", "key")[:MAX_SORTED]
    found = list(islice((pair for pair in pairs if PULL in rules.actions_on(pair[0])), contents.PAGE + 1))
    page = found[: contents.PAGE]
    following = _text(*page[-1]) if len(found) > len(page) else ""
    return Listed(contents.rows_of([name for name, _ in page], rules), following)


def _cursor(sort: str, after: str) -> tuple[str, Any] | None:
    """Return name and key of the row that a page begins after; None for the first page."""
    key, separator, name = after.partition(" ")
    with suppress(ValueError, OverflowError):
        if separator and sort == "size" and abs(int(key)) < 2**63:
            return name, int(key)
        if separator and sort != "size":
            return name, datetime.fromisoformat(key).replace(tzinfo=UTC)
    return None


def _text(name: str, key: int | datetime) -> str:
    return f"{key.replace(tzinfo=None).isoformat() if isinstance(key, datetime) else key} {name}"


def _ranges(rules: IdentityRules) -> Sequence[NameRange]:
    """Return ranges with the names that may be pulled, MAX_RANGES at most."""
    ranges = rules.ranges(PULL)
    return ranges if len(ranges) <= MAX_RANGES else (NameRange(ranges[0].low, ranges[-1].high),)


def _pullable(rules: IdentityRules) -> QuerySet[Repository]:
    """Return the repositories with a manifest in the ranges of names that may be pulled, and others."""
    ranges = _ranges(rules)
    if not ranges:
        return Repository.objects.none()
    within = [Q(name__gte=one.low) & (Q() if one.high is None else Q(name__lt=one.high)) for one in ranges]
    # By a subquery for each repository: a join might read all manifests.
    manifest = Subquery(Manifest.objects.filter(repository=OuterRef("pk")).values("pk")[:1])
    return Repository.objects.filter(reduce(or_, within), IsNull(manifest, False), is_listed=True)


def tree(rules: IdentityRules, prefix: str, after: str) -> Tree:
    """Return the folders and repositories directly below `prefix`, PAGE of both after the name `after`."""
    folders: dict[str, int] = {}
    names: list[str] = []
    last = max(prefix, after)
    is_full = False
    while not is_full:
        for name in repositories.names_below(prefix, last, rules):
            component, separator, _ = name[len(prefix) :].partition("/")
            inside = f"{prefix}{component}/"
            is_full = len(folders) + len(names) >= contents.PAGE and not (separator and inside in folders)
            if is_full:
                break
            if not separator:
                names.append(name)
                last = name
                continue
            folders[inside] = folders.get(inside, 0) + 1
            # The next page, and a folder with more than are counted, go on behind it.
            last = f"{inside}{BEHIND}"
            if folders[inside] > MOST_COUNTED:
                break
        else:
            return Tree(_folders(folders, prefix), contents.rows_of(names, rules), "")
    return Tree(_folders(folders, prefix), contents.rows_of(names, rules), last)


def _folders(counts: Mapping[str, int], prefix: str) -> list[Folder]:
    return [Folder(inside.removeprefix(prefix), inside, count) for inside, count in counts.items()]


def search(rules: IdentityRules, text: str, host: str) -> list[Found] | None:
    """Return what has the digest or tag that `text` names, up to PAGE; None: it is part of a name.

    `team/app:v1`, `app@sha256:…`, `:v1` in no repository, `sha256:…`, and the same after the own host.
    """
    name, reference = _split(text.removeprefix(f"{host}/"))
    if not reference:
        return None
    try:
        wanted = parse_reference(reference)
    except RegistryError:
        return None
    if isinstance(wanted, Digest):
        return _with_digest(rules, name, str(wanted))
    page = repositories.catalog(contents.PAGE, "", rules, name)
    tags = Tag.objects.filter(repository__name__in=page.names, name=wanted)
    return [Found(name, wanted) for name in sorted(tags.values_list("repository__name", flat=True))]


def _split(text: str) -> tuple[str, str]:
    """Return name and reference of a search; the reference is empty in one for a part of a name."""
    name, separator, digest = text.rpartition("@")
    if separator or text.partition(":")[0] in ("sha256", "sha512"):
        return name, digest
    name, separator, tag = text.rpartition(":")
    return (name, tag) if separator and name else (text, "")


def _with_digest(rules: IdentityRules, name: str, digest: str) -> list[Found]:
    """Return the repositories with a manifest of this digest, otherwise those with the blob."""
    if found := list(islice(_having(_HAVING_MANIFEST, digest, rules, name), contents.PAGE)):
        return [Found(one, digest) for one in found]
    blob = Blob.objects.filter(digest=digest).values_list("pk", flat=True).first()
    linked = _having(_HAVING_BLOB, blob, rules, name) if blob is not None else iter(())
    return [Found(one, "") for one in islice(linked, contents.PAGE)]


def _having(having: Mapping[bool, Statement], wanted: object, rules: IdentityRules, containing: str) -> Iterator[str]:
    """Yield the names, in byte order, of repositories that may be pulled; MAX_SEARCHED of a range are looked at."""
    may_pull = rules.allows(PULL)
    for one in _ranges(rules):
        ends = () if one.high is None else (one.high,)
        statement = having[one.high is None]
        names = names_of(statement.value(one.low, *ends, repositories.MAX_SEARCHED, wanted))
        yield from (name for name in names if containing in name and (one.is_whole or may_pull(name)))
