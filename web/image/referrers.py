"""The tree of what refers to an image: signatures, SBOMs, attestations, and what refers to those.

Three relations make it: the subject of a manifest, tags of cosign's older scheme (`sha256-….sig`), and the attestations
that BuildKit puts into the index of an image.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import BinaryField, Case, F, Value, When

from distribution.models import Manifest, Tag
from web.document import document_of, object_of, text_of
from web.image.kinds import ARTIFACT, BUNDLE_PREDICATE, Document, Kind, documents_of, kind_of, predicate_name

MAX_DEPTH = 3
MAX_NODES = 100
# A larger manifest is listed, and not looked into.
MAX_PAYLOAD_BYTES = 16 * 1024
_SUFFIXES = (".sig", ".att", ".sbom")
_COLUMNS = ("digest", "media_type", "artifact_type", "size", "subject", "content")


@dataclass(slots=True)
class Referrer:
    """A manifest about another; `reference` is its tag if only that says so."""

    reference: str
    digest: str
    kind: Kind
    detail: str
    size: int
    documents: list[Document]
    children: list["Referrer"] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """The referrers of a manifest; `is_cut`: there are more than MAX_NODES."""

    referrers: list[Referrer] = field(default_factory=list)
    is_cut: bool = False
    count: int = 0


Found = tuple[str, str, Mapping[str, Any]]


def tree_of(repository: int, roots: Sequence[str], attestations: Mapping[str, str]) -> Tree:
    """Return the tree of some digests' referrers; `attestations` are those of an index, by digest, with their subject.

    It takes two queries for each of MAX_DEPTH levels and one for attestations; each reads at most MAX_NODES payloads.
    """
    tree, seen = Tree(), set(roots)
    level = dict.fromkeys(roots, tree.referrers)
    attested = {digest: about for digest, about in attestations.items() if about in roots}
    for _ in range(MAX_DEPTH):
        following: dict[str, list[Referrer]] = {}
        for subject, reference, row in _found(repository, list(level), attested):
            if row["digest"] in seen:
                continue
            if tree.count == MAX_NODES:
                tree.is_cut = True
                break
            seen.add(row["digest"])
            node = _referrer(reference, row)
            level[subject].append(node)
            following[node.digest] = node.children
            tree.count += 1
        for siblings in level.values():
            siblings.sort(key=lambda node: (node.kind.name, node.reference))
        if not following or tree.is_cut:
            break
        level, attested = following, {}
    return tree


def _found(repository: int, subjects: list[str], attested: Mapping[str, str]) -> Iterator[Found]:
    """Yield subject, reference and columns of the manifests about `subjects`.

    Unsorted: a subject may have a million referrers, of which the database need not look at more than these.
    """
    rows = (
        Manifest.objects.filter(repository=repository).annotate(content=_content("size", "payload")).values(*_COLUMNS)
    )
    if attested:
        for row in rows.filter(digest__in=list(attested)):
            yield attested[row["digest"]], row["digest"], row
    for row in rows.filter(subject__in=subjects)[: MAX_NODES + 1]:
        yield row["subject"], row["digest"], row
    starts = {subject.replace(":", "-", 1): subject for subject in subjects}
    names = [start + suffix for start in starts for suffix in _SUFFIXES]
    tags = Tag.objects.filter(repository=repository, name__in=names).annotate(
        digest=F("manifest__digest"),
        media_type=F("manifest__media_type"),
        artifact_type=F("manifest__artifact_type"),
        size=F("manifest__size"),
        subject=F("manifest__subject"),
        content=_content("manifest__size", "manifest__payload"),
    )
    for row in tags.values("name", *_COLUMNS)[: MAX_NODES + 1]:
        yield starts[row["name"].rpartition(".")[0]], row["name"], row


def _content(size: str, payload: str) -> Case:
    return Case(
        When(**{f"{size}__lte": MAX_PAYLOAD_BYTES}, then=F(payload)),
        default=Value(None),
        output_field=BinaryField(null=True),
    )


def _referrer(reference: str, row: Mapping[str, Any]) -> Referrer:
    manifest = document_of(bytes(row["content"] or b""))
    kind = kind_of(row["media_type"], row["artifact_type"], manifest)
    documents = documents_of(manifest)
    predicate = text_of(object_of(manifest.get("annotations")).get(BUNDLE_PREDICATE))
    detail = predicate_name(predicate)
    if kind is ARTIFACT:
        detail = row["artifact_type"]
    return Referrer(reference, row["digest"], kind, detail, row["size"], documents)
