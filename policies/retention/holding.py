"""The retention policies that hold for a repository, beside what else keeps its tags."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.conf import settings

from policies import compiled
from policies.immutability import Immutability
from policies.models import ReadOnly, Retention
from policies.retention.decision import Moment, TagFacts, Verdict, decide


@dataclass(frozen=True, slots=True)
class Holding:
    """What decides about the tags of the repository `name` at a permissions version.

    `whole` says why nothing is removed there whatever the policies say, "" if something is.
    """

    name: str
    version: str
    policies: tuple[Retention, ...]
    immutability: Immutability
    whole: str

    @classmethod
    def of(cls, name: str, version: str) -> Holding:
        """Return what holds at a permissions version."""
        policies = tuple(policy for policy in compiled.all_of(Retention, version) if policy.holds_for(name))
        immutability = Immutability.of(name, version)
        return cls(name, version, policies, immutability, _whole(immutability, version))

    @property
    def asks_for_pulls(self) -> bool:
        """Whether the time of the last pull decides."""
        return any(policy.keep_pulled_within is not None for policy in self.policies)

    @property
    def lets_tags_go(self) -> bool:
        """Whether some tag may go."""
        return not self.whole and any(policy.has_rules or policy.remove_signatures for policy in self.policies)

    @property
    def content(self) -> tuple[object, ...]:
        """What it says: equal as long as no policy changes that decides."""
        rows = (*self.policies, *self.immutability.policies)
        return (self.whole, *((row.pk, *(getattr(row, name) for name in row.entered)) for row in rows))

    def decide(self, tags: Iterable[TagFacts], present: Collection[str], moment: Moment) -> dict[str, Verdict]:
        """Return the verdict for each tag; `present` as in `decision.decide`."""
        if self.whole:
            verdict = Verdict(is_kept=True, reason=self.whole)
            return {tag.name: verdict for tag in tags}
        verdicts = decide([policy.keep for policy in self.policies], tags, present, moment)
        for name, verdict in verdicts.items() if self.immutability.policies else ():
            fixed = None if verdict.is_kept else next((p for p in self.immutability.policies if p.covers(name)), None)
            if fixed is not None:
                verdicts[name] = Verdict(is_kept=True, reason=f"is immutable (immutability policy {fixed.pk})")
        return verdicts


def _whole(immutability: Immutability, version: str) -> str:
    if not settings.REGISTRY.storage.deletion:
        return "deletion is switched off (storage.deletion)"
    for read_only in compiled.of(ReadOnly, immutability.name, version):
        return f"the repository is read-only (read-only mode {read_only.pk})"
    for policy in immutability.policies:
        if policy.protected:
            return f"the repository is protected (immutability policy {policy.pk})"
    return ""
