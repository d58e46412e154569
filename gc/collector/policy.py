"""What one run may remove: where, and after which grace period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from accounts import permissions_version
from acl.glob import compile_glob, literal_prefix
from distribution.models import Repository
from policies import compiled
from policies.models import ImmutableTags

BATCH = 500

# A subquery for each due row: with a join, SQLite might start at the repositories and read all their manifests.
_KEEPS_UNTAGGED = Q(Exists(Repository.objects.filter(pk=OuterRef("repository"), keeps_untagged=True)))


def keeps_untagged() -> Q:
    """Return a condition on manifests: the repository keeps untagged ones, or a policy protects it."""
    policies = [one for one in compiled.all_of(ImmutableTags, permissions_version.current()) if one.protected]
    if not policies:
        return _KEEPS_UNTAGGED
    rows = Repository.objects.values_list("pk", "name").iterator(BATCH)
    return _KEEPS_UNTAGGED | Q(repository__in=[pk for pk, name in rows if any(one.holds_for(name) for one in policies)])


@dataclass(frozen=True, slots=True)
class Policy:
    """How long unreferenced rows are kept, and whether untagged manifests are among them.

    `repository` limits it to a pattern as in access rules; empty means all repositories. `plan` is the primary key of
    a dry run, whose findings alone may be removed.
    """

    grace_period: timedelta
    remove_untagged: bool
    repository: str = ""
    plan: int | None = None

    @classmethod
    def configured(cls) -> Policy:
        """Return the policy of the section `garbage_collector`."""
        section = settings.REGISTRY.garbage_collector
        return cls(section.grace_period, section.remove_untagged)

    def scopes(self) -> Iterator[Q]:
        """Yield conditions on rows that together select the repositories, BATCH of them each.

        Raises InvalidPatternError.
        """
        if not self.repository:
            yield Q()
        for pks in self.batches():
            yield Q(repository__in=pks)

    def batches(self) -> Iterator[list[int]]:
        """Yield the sorted primary keys of the repositories of each scope; nothing without a pattern.

        Raises InvalidPatternError.
        """
        if not self.repository:
            return
        matches = compile_glob(self.repository)
        rows = Repository.objects.filter(name__startswith=literal_prefix(self.repository)).values_list("pk", "name")
        pks = sorted(pk for pk, name in rows.iterator(BATCH) if matches(name))
        for start in range(0, len(pks), BATCH):
            yield pks[start : start + BATCH]
