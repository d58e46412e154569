"""The verdict for each tag of a repository, computed without a lock; a dry run lists those that go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from accounts import permissions_version
from collector.batches import by_pk
from collector.dry_run.results import Finding, Kind
from collector.policy import Policy
from collector.retention import facts
from collector.retention.facts import Facts
from collector.throttle import Throttle
from distribution import deletion
from distribution.models import Repository
from policies import compiled
from policies.models import Retention
from policies.retention.decision import Moment, Verdict
from policies.retention.holding import Holding


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the policies that hold for a repository do with its tags; their number bounds the memory."""

    holding: Holding
    facts: Facts
    verdicts: dict[str, Verdict]

    @classmethod
    def of(cls, repository: Repository, moment: Moment, throttle: Throttle) -> Simulation:
        """Decide about the tags that are there now. Raises StopError when `throttle` does."""
        holding = Holding.of(repository.name, permissions_version.current())
        found: Facts = {}
        for some in facts.of_repository(repository.pk, with_pulls=holding.asks_for_pulls):
            found |= some
            throttle.check()
        present = facts.present_subjects(repository.pk, found.values())
        return cls(holding, found, holding.decide(found.values(), present, moment))

    @property
    def unkept(self) -> Facts:
        """The tags that go."""
        return {pk: tag for pk, tag in self.facts.items() if not self.verdicts[tag.name].is_kept}

    @property
    def places(self) -> list[int]:
        """The primary keys of the kept tags that others go for: without one of them, another may be kept."""
        return [pk for pk, tag in self.facts.items() if self.verdicts[tag.name].takes_place]


def moment_at(now: datetime, grace_period: timedelta) -> Moment:
    """Return the moment of a run that began at `now`."""
    return Moment(now, facts.pulls_since(now), now - grace_period)


def repositories(policy: Policy, *, with_kept: bool = False) -> Iterator[Repository]:
    """Yield the repositories within the scope of `policy` that a retention policy holds for, by primary key.

    Those in which no tag can go are left out, unless `with_kept`.
    """
    version = permissions_version.current()
    if not compiled.all_of(Retention, version):
        return
    scopes = [Q(pk__in=pks) for pks in policy.batches()] if policy.repository else [Q()]
    for scope in scopes:
        for repository in by_pk(deletion.without_hidden(Repository.objects.filter(scope)).only("name")):
            holding = Holding.of(repository.name, version)
            if holding.policies and (with_kept or holding.lets_tags_go):
                yield repository


def find_tags(policy: Policy, now: datetime, throttle: Throttle) -> Iterator[Finding]:
    """Yield the tags that `removal.remove_tags` would remove now. Raises StopError when `throttle` does."""
    moment = moment_at(now, policy.grace_period)
    for repository in repositories(policy):
        found = Simulation.of(repository, moment, throttle)
        for pk, tag in found.unkept.items():
            reason = found.verdicts[tag.name].reason
            yield Finding(Kind.TAG, tag.name, reason, repository.pk, repository.name, row_id=pk)
        throttle.check()
