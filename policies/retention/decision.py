"""Decide which tags of a repository stay: what no rule of a policy keeps goes.

A tag goes only if every policy that is about it lets it go. Tags that cosign derives from a digest are signatures:
they stay as long as the image does, and longer unless a policy removes those of images that are gone.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from core.durations import format_duration
from policies.retention.versions import Version, is_shortened, kept_of, version_of

NOT_KEPT = "no rule keeps it"
OF_GONE_IMAGE = "belongs to an image that is gone"

PULLS_LAG = timedelta(minutes=2)
"""How much later than it was stored a tag may have been pulled: pulls are stored in batches, those of a minute once."""

_DERIVED = re.compile(r"(sha256|sha384|sha512)-([0-9a-f]{64,128})(\.sig|\.att|\.sbom)?")


@dataclass(frozen=True, slots=True)
class TagFacts:
    """What a decision is about; `pulled_at` is that of the tag or of its image, whichever is later."""

    name: str
    digest: str
    pushed_at: datetime
    pulled_at: datetime | None


_Kept = tuple[TagFacts, str, bool]
"""A tag that a rule keeps, why, and whether it takes a place."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The rules of one policy; `is_about` tells whether it is about a tag, `matches` whether it keeps it by name.

    `number` names it in reasons.
    """

    is_about: Callable[[str], bool]
    matches: Callable[[str], bool]
    last_pushed: int | None = None
    pushed_within: timedelta | None = None
    pulled_within: timedelta | None = None
    minors: int | None = None
    patches: int | None = None
    removes_signatures: bool = False
    number: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tag stays, and why, as the end of a sentence that begins with its name.

    One that `takes_place` is counted by a rule: without it, that rule may keep another tag.
    """

    is_kept: bool
    reason: str
    takes_place: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """When a decision is made, and since when pulls are recorded.

    A signature is older than `settled_before` before it counts as one of an image that is gone.
    """

    now: datetime
    pulls_since: datetime
    settled_before: datetime


def subject_of(tag: str) -> str | None:
    """Return the digest from which cosign, or a client without referrers, derived the tag."""
    found = _DERIVED.fullmatch(tag)
    return f"{found[1]}:{found[2]}" if found else None


def decide(
    policies: Sequence[Keep], tags: Iterable[TagFacts], present: Collection[str], moment: Moment
) -> dict[str, Verdict]:
    """Return the verdict for each tag, in the order given; `present` has the digests of images that are here.

    Only the subjects of derived tags (`subject_of`) are looked up in it.
    """
    rows = list(tags)
    images = [row for row in rows if subject_of(row.name) is None]
    kept: dict[str, Verdict] = {}
    about: dict[str, tuple[int, ...]] = {}
    for policy in policies:
        of_policy = [row for row in images if policy.is_about(row.name)]
        for row, reason, takes_place in _kept_by(policy, of_policy, moment):
            verdict = kept.get(row.name) or Verdict(is_kept=True, reason=f"{reason} {_named([policy.number])}")
            kept[row.name] = replace(verdict, takes_place=True) if takes_place else verdict
        for row in of_policy:
            about[row.name] = (*about.get(row.name, ()), policy.number)
    verdicts: dict[str, Verdict] = {}
    for row in rows:
        subject = subject_of(row.name)
        if subject is None:
            verdicts[row.name] = kept.get(row.name) or _unkept(about.get(row.name, ()))
        else:
            verdicts[row.name] = _of_signature(row, policies, moment, is_here=subject in present)
    return verdicts


def _of_signature(row: TagFacts, policies: Sequence[Keep], moment: Moment, *, is_here: bool) -> Verdict:
    removing = [policy.number for policy in policies if policy.removes_signatures]
    keeping = [policy.number for policy in policies if policy.matches(row.name)]
    if is_here:
        return Verdict(is_kept=True, reason="belongs to an image that is here")
    if keeping:
        return Verdict(is_kept=True, reason=f"its name is kept {_named(keeping)}")
    if not removing:
        return Verdict(is_kept=True, reason="no policy removes signatures")
    if row.pushed_at >= moment.settled_before:
        return Verdict(is_kept=True, reason="belongs to an image that may still come")
    return Verdict(is_kept=False, reason=f"{OF_GONE_IMAGE} {_named(removing)}")


@lru_cache(maxsize=1000)
def _unkept(policies: tuple[int, ...]) -> Verdict:
    """Return the verdict for a tag that all these policies are about; of many tags it is one object."""
    if not policies:
        return Verdict(is_kept=True, reason="no policy is about it")
    return Verdict(is_kept=False, reason=f"{NOT_KEPT} {_named(policies)}")


def _named(policies: Sequence[int]) -> str:
    *others, last = map(str, policies)
    return f"(policies {', '.join(others)} and {last})" if others else f"(policy {last})"


def _kept_by(policy: Keep, rows: Sequence[TagFacts], moment: Moment) -> Iterable[_Kept]:
    """Yield the tags that the policy keeps, with every reason."""
    for row in rows:
        if policy.matches(row.name):
            yield row, "its name is kept", False
    if policy.last_pushed is not None:
        # The name decides between tags of one moment, so that a forecast and its run agree.
        newest = sorted(rows, key=lambda row: (row.pushed_at, row.name), reverse=True)[: policy.last_pushed]
        for place, row in enumerate(newest, start=1):
            yield row, f"number {place} of the last {policy.last_pushed} pushed", True
    if policy.pushed_within is not None:
        for row in rows:
            if row.pushed_at > moment.now - policy.pushed_within:
                yield row, f"pushed within {format_duration(policy.pushed_within)}", False
    if policy.pulled_within is not None:
        yield from _pulled(policy.pulled_within, rows, moment)
    if policy.minors is not None:
        yield from _of_versions(policy.minors, policy.patches, rows)


def _pulled(within: timedelta, rows: Sequence[TagFacts], moment: Moment) -> Iterable[_Kept]:
    since = moment.now - within - PULLS_LAG
    for row in rows:
        if row.pulled_at is not None and row.pulled_at > since:
            yield row, f"pulled within {format_duration(within)}", False
        elif row.pulled_at is None and row.pushed_at < moment.pulls_since > since:
            # It may have been pulled before.
            yield row, f"pulls are recorded since {moment.pulls_since:%Y-%m-%d} only", False


def _of_versions(minors: int, patches: int | None, rows: Sequence[TagFacts]) -> Iterable[_Kept]:
    versions: dict[str, Version] = {}
    for row in rows:
        version = version_of(row.name)
        if version is not None:
            versions[row.name] = version
    kept = kept_of(versions.values(), minors, patches)
    named = {row.digest: row.name for row in sorted(rows, key=lambda row: row.name) if versions.get(row.name) in kept}
    for row in rows:
        if versions.get(row.name) in kept:
            yield row, f"one of the newest {minors} minor versions", True
        elif is_shortened(row.name) and row.digest in named:
            yield row, f"names the same image as {named[row.digest]}", False
