"""The manifest that an address names."""

from typing import NamedTuple

from django.http import Http404

from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution import queries
from distribution.models import Manifest, Tag
from distribution.protocol.digest import ALGORITHMS, Digest
from distribution.protocol.references import Tag as TagName
from distribution.protocol.references import parse_reference
from web.visitor import Visitor

# Suggested for a comparison.
MAX_SUGGESTED = 200


class Found(NamedTuple):
    """A manifest that the visitor may pull, and how it was asked for."""

    name: RepositoryName
    reference: Digest | TagName
    row: Manifest

    @property
    def title(self) -> str:
        return f"{self.name}{'@' if isinstance(self.reference, Digest) else ':'}{self.reference}"

    @property
    def suggested(self) -> list[str]:
        """Return the first tags of the repository."""
        tags = Tag.objects.filter(repository=self.row.repository_id).order_by("name")
        return list(tags.values_list("name", flat=True)[:MAX_SUGGESTED])


def find(visitor: Visitor, name: str, reference: str) -> Found:
    """Return a manifest. Raises Http404, also for one that the visitor may not pull."""
    parsed = visitor.pullable(name)
    try:
        wanted = parse_reference(reference)
    except RegistryError as error:
        raise Http404 from error
    repository = queries.repository(parsed)
    try:
        if isinstance(wanted, Digest):
            row = Manifest.objects.get(repository=repository, digest=str(wanted))
        else:
            # From the tag, which has an index by repository and name; `first` would sort by primary key.
            row = Tag.objects.select_related("manifest").get(repository=repository, name=wanted).manifest
    except (Manifest.DoesNotExist, Tag.DoesNotExist) as error:
        raise Http404 from error
    return Found(parsed, wanted, row)


def find_other(visitor: Visitor, name: str, text: str) -> Found:
    """Return the manifest that a visitor typed: a tag or digest of this repository, `NAME:TAG` or `NAME@DIGEST`.

    Raises Http404.
    """
    other, separator, digest = text.partition("@")
    if separator:
        return find(visitor, other, digest)
    if ":" not in text or text.partition(":")[0] in ALGORITHMS:
        return find(visitor, name, text)
    other, _, tag = text.rpartition(":")
    return find(visitor, other, tag)
