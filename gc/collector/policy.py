"""What one run may remove."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from acl.glob import compile_glob, literal_prefix
from distribution.models import Repository

BATCH = 500

# Asked for each idle row: as a join, SQLite might begin at the repositories and read all that they have.
KEEPS_UNTAGGED = Q(Exists(Repository.objects.filter(pk=OuterRef("repository"), keeps_untagged=True)))
"""The condition on a manifest that its repository keeps it without a tag."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long what nothing holds is kept, whether an untagged manifest is such a thing, and where.

    `repository` is a pattern as in access rules; empty: everywhere.
    """

    grace_period: timedelta
    remove_untagged: bool
    repository: str = ""

    @classmethod
    def configured(cls) -> Policy:
        """Return what the section `garbage_collector` of the configuration says."""
        section = settings.REGISTRY.garbage_collector
        return cls(section.grace_period, section.remove_untagged)

    def scopes(self) -> Iterator[Q]:
        """Yield the conditions on rows of a repository that together say where, a number of repositories each.

        Raises InvalidPatternError.
        """
        if not self.repository:
            yield Q()
        for pks in self.batches():
            yield Q(repository__in=pks)

    def batches(self) -> Iterator[list[int]]:
        """Yield the primary keys of the repositories of each scope, in order; none when it is everywhere.

        Raises InvalidPatternError.
        """
        if not self.repository:
            return
        matches = compile_glob(self.repository)
        rows = Repository.objects.filter(name__startswith=literal_prefix(self.repository)).values_list("pk", "name")
        pks = sorted(pk for pk, name in rows.iterator(BATCH) if matches(name))
        for start in range(0, len(pks), BATCH):
            yield pks[start : start + BATCH]
