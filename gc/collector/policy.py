"""What one run may remove: where, and after which grace period."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from accounts import permissions_version
from acl.glob import compile_glob, literal_prefix
from distribution.models import Repository
from policies import compiled
from policies.models import ImmutableTags, Retention
from policies.retention.holding import Holding

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


def anywhere(_name: str) -> bool:
    """Return True: the condition of a scope without one."""
    return True


@dataclass(frozen=True, slots=True)
class ManifestScope:
    """Unreferenced manifests that a run removes: those of some repositories, and of them the `members`.

    `is_open` tells whether it still may in the repository with a name: a policy may have changed meanwhile.
    """

    repositories: Q
    members: Q = field(default_factory=Q)
    is_open: Callable[[str], bool] = anywhere


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

    def manifest_scopes(self) -> Iterator[ManifestScope]:
        """Yield which unreferenced manifests are removed: all, or what retention policies say.

        Raises InvalidPatternError.
        """
        if self.remove_untagged:
            yield from (ManifestScope(scope) for scope in self.scopes())
            return
        version = permissions_version.current()
        if not compiled.all_of(Retention, version):
            return
        for removes, members in ((_removes_untagged, Q()), (_removes_signatures, Q(subject__isnull=False))):
            for pks in self._batched(partial(removes, version=version)):
                yield ManifestScope(Q(repository__in=pks), members, removes)

    def batches(self) -> Iterator[list[int]]:
        """Yield the sorted primary keys of the repositories of each scope; nothing without a pattern.

        Raises InvalidPatternError.
        """
        if not self.repository:
            return
        yield from self._batched(anywhere)

    def _batched(self, condition: Callable[[str], bool]) -> Iterator[list[int]]:
        pattern = self.repository or "*"
        matches = compile_glob(pattern)
        rows = Repository.objects.filter(name__startswith=literal_prefix(pattern)).values_list("pk", "name")
        pks = sorted(pk for pk, name in rows.iterator(BATCH) if matches(name) and condition(name))
        for start in range(0, len(pks), BATCH):
            yield pks[start : start + BATCH]


def _removes_untagged(name: str, version: str | None = None) -> bool:
    holding = Holding.of(name, version or permissions_version.current())
    return not holding.whole and any(policy.remove_untagged for policy in holding.policies)


def _removes_signatures(name: str, version: str | None = None) -> bool:
    """Tell whether referrers go there, where not all untagged manifests do."""
    holding = Holding.of(name, version or permissions_version.current())
    is_wanted = any(policy.remove_signatures for policy in holding.policies)
    return not holding.whole and is_wanted and not any(policy.remove_untagged for policy in holding.policies)
